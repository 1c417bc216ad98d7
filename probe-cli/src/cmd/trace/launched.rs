//! The command that is traced from its first instruction.

use std::{
    ffi::OsString,
    io::{self, PipeWriter, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command},
};

use anyhow::Context as _;
use rustix::io::{FdFlags, fcntl_setfd};

/// A command that waits to be told before it begins.
pub(super) struct Launched {
    pub(super) child: Child,
    go: Option<PipeWriter>,
}

impl Launched {
    pub(super) fn spawn(command: &[OsString]) -> anyhow::Result<Self> {
        use std::os::fd::AsRawFd as _;
        let (reader, writer) = io::pipe().context("cannot make a pipe")?;
        // The child inherits this end.
        fcntl_setfd(&reader, FdFlags::empty()).context("cannot share a pipe")?;
        // By its path, because its last part is the name until the command begins.
        let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let child = Command::new(program)
            .arg("__exec")
            .arg(reader.as_raw_fd().to_string())
            .arg("--")
            .args(command)
            .spawn()
            .context("cannot start a process")?;
        Ok(Self { child, go: Some(writer) })
    }

    pub(super) fn go(&mut self) -> anyhow::Result<()> {
        match self.go.take() {
            Some(mut pipe) => pipe.write_all(b"!").context("the command ended before it began"),
            None => Ok(()),
        }
    }
}

/// The status as a shell shows it: 128 and the signal's number when a signal ended it.
pub(super) fn shell_status(status: std::process::ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    u8::try_from(code.unwrap_or(1)).unwrap_or(1)
}
