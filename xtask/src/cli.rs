//! The command line of `cargo xtask`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::context::Context;
use crate::{bench, build, build_ebpf, fuzz, kernels, report, say, setup, test, top, vm};

/// The exit status of a command that failed itself, as opposed to what it ran.
pub(crate) const EXIT_TROUBLE: u8 = 125;

/// Everything a walkprobe developer runs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch and build what the other commands need: rust-src, bpf-linker, QEMU, kernels
    Setup,
    /// Build the eBPF object that the binary embeds
    BuildEbpf,
    /// Build the static walkprobe and print its path
    Build,
    /// List the kernels that can be had, or fetch some
    Kernels(Kernels),
    /// Run a command in a guest with another kernel
    Vm(vm::Options),
    /// Measure, and keep the table in docs/
    Bench(bench::Options),
    /// Make documents from real runs
    Report(report::Options),
    /// Try whether any input makes walkprobe fail, hang or take memory without end
    Fuzz(fuzz::Options),
    /// Open walkprobe top, on this kernel or in a guest with a demo load
    Top,
    /// Run all checks: format, lints, tests, guest tests
    Test(test::Options),
}

/// Options of `kernels`.
#[derive(Debug, Args)]
pub(crate) struct Kernels {
    /// Fetch the newest kernel of this series, or of `all`
    #[arg(long, value_name = "SERIES|all")]
    pub(crate) fetch: Option<String>,
}

/// Does what the command line says.
pub(crate) fn run() -> Result<ExitCode> {
    let cli = Cli::parse();
    let cx = Context::find()?;
    match cli.command {
        Command::Setup => setup::run(&cx)?,
        Command::BuildEbpf => say::result(build_ebpf::run(&cx)?.display()),
        Command::Build => say::result(build::walkprobe(&cx)?.display()),
        Command::Kernels(options) => kernels::run(&cx, &options)?,
        Command::Bench(options) => bench::run(&cx, &options)?,
        Command::Fuzz(options) => fuzz::run(&cx, &options)?,
        Command::Report(options) => report::run(&cx, &options)?,
        Command::Vm(options) => return vm::run(&cx, &options),
        Command::Top => return top::run(&cx),
        Command::Test(options) => return test::run(&cx, &options),
    }
    Ok(ExitCode::SUCCESS)
}
