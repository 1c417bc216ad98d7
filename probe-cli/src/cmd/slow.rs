//! `walkprobe __slow`: makes a function of the kernel slower until its input ends.

use std::{
    io::{self, Read as _},
    process::ExitCode,
};

use crate::{
    exit::Failure,
    output,
    probe::{Slow, Slower},
};

/// Arguments of `__slow`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function
    function: String,
    /// By how much, in ns
    ns: u64,
}

/// Says `slower` when it is, and waits.
///
/// # Errors
/// When the function cannot be attached to, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let _slow = Slow::begin(&args.function, Slower::Ns(args.ns))?.map_err(Failure::Impossible)?;
    output::print("slower\n")?;
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}
