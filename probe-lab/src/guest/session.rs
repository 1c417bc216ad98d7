//! A session of its own for a command with a terminal, so that Ctrl-C reaches the command and nobody else.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// The first argument that asks init for this.
pub(super) const WORD: &str = "session";

/// Becomes the command in a new session on the terminal; comes back only when that fails.
pub(super) fn enter(arguments: &[OsString]) -> io::Error {
    let [terminal, program, rest @ ..] = arguments else {
        return io::Error::other("a terminal and a command are needed");
    };
    let prepare = || -> io::Result<()> {
        setsid()?;
        let terminal = OpenOptions::new().read(true).write(true).open(terminal)?;
        ioctl_tiocsctty(&terminal)?;
        dup2_stdin(&terminal)?;
        dup2_stdout(&terminal)?;
        dup2_stderr(&terminal)?;
        Ok(())
    };
    match prepare() {
        Ok(()) => Command::new(program).args(rest).exec(),
        Err(error) => error,
    }
}
