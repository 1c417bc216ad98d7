//! `cargo xtask vm`: `walkprobe lab` with what has just been built.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::context::Context;
use crate::{build, guest};

/// Options of `vm`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Options of `walkprobe lab`; --help shows them
    #[arg(value_name = "OPTIONS", allow_hyphen_values = true)]
    options: Vec<String>,
    /// What to run
    #[arg(last = true, value_name = "ARGS")]
    command: Vec<String>,
}

/// Builds, and becomes `walkprobe lab`.
pub(crate) fn run(cx: &Context, options: &Options) -> Result<ExitCode> {
    let walkprobe = build::walkprobe(cx)?;
    let log = guest::logs(cx)?.join(format!("vm-{}.log", std::process::id()));
    let mut lab = Command::new(&walkprobe);
    lab.args(["lab", "--log"]).arg(log).args(&options.options);
    if !options.command.is_empty() {
        lab.arg("--").args(&options.command);
    }
    Err(lab.exec()).with_context(|| format!("cannot start {}", walkprobe.display()))
}
