//! `walkprobe __exec`: waits until told, then becomes the command.
//!
//! So `trace -- CMD` knows the PID before the command's first instruction, without code between
//! fork and exec.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::Context as _;

use crate::output;

/// Arguments of `__exec`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File descriptor of the pipe: one byte means go, its end means that nobody waits any more
    fd: u32,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<std::ffi::OsString>,
}

/// Waits, then becomes the command. Ends as a shell does: 127 when there is no such command, 126
/// when it cannot be run.
///
/// # Errors
/// When the pipe cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut pipe = File::open(format!("/proc/self/fd/{}", args.fd))?;
    if pipe.read(&mut [0])? == 0 {
        return Ok(ExitCode::FAILURE);
    }
    let (program, arguments) = args.command.split_first().context("no command")?;
    let error = Command::new(program).args(arguments).exec();
    output::say(&format!("cannot run {}: {error}", program.display()));
    Ok(ExitCode::from(if error.kind() == ErrorKind::NotFound { 127 } else { 126 }))
}
