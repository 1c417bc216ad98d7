//! The command line.

use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

use crate::{cmd, live::source::LiveSource, output};

const ABOUT: &str = "Shows, live, which page-table leaf sizes map each range of a process, what \
                     changes them, and what it costs the kernel to walk them";

const EXIT_CODES: &str = "Exit status:
  0  success (trace -- CMD, lab -- CMD: the status of CMD)
  1  an error that has no number of its own; check: a regression
  2  the command line is wrong; check: any other error, too
  3  doctor: only a part works here; check: it cannot be told
  4  nothing works on this kernel, or without more rights
  5  there is no such process
  6  the output cannot be written
  122 to 125  lab: the guest panicked, hung, exceeded its time, could not be booted";

/// The command line of `walkprobe`.
#[derive(Debug, Parser)]
#[command(name = "walkprobe", version, about = ABOUT, after_help = EXIT_CODES)]
pub struct Cli {
    /// Say more on standard error: -v what the eBPF programs report, -vv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What `walkprobe` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what works on this kernel, what does not, and why
    Doctor(cmd::doctor::Args),
    /// Show, live, which processes cause faults, splits, collapses and page-table walks
    Top(cmd::top::Args),
    /// Record what happens to the address space of a process as JSON Lines
    Trace(cmd::trace::Args),
    /// Show which leaf sizes map each range of a process
    Maps(cmd::maps::Args),
    /// Show what changed size between two saved leaf maps
    Diff(cmd::diff::Args),
    /// Show what changes a range of addresses, and who does it, as it happens
    Why(cmd::why::Args),
    /// Show what page-table walks cost, walker by walker, on the hugetlb and the generic path, and by whom
    Walks(cmd::walks::Args),
    /// Measure walkers over known address spaces, for a comparison
    Bench(cmd::bench::Args),
    /// Compare measurements: did a walker get slower, or does it visit other things?
    Check(cmd::check::Args),
    /// Show a trace as `top` showed it live: play, pause, step, go to a moment, find events
    Replay(cmd::replay::Args),
    /// Show what happened in a trace: by cause, by VMA, by leaf size, and what was lost
    Stats(cmd::stats::Args),
    /// Write a trace in a form that other tools open: timelines, tables, flame graphs
    Export(cmd::export::Args),
    /// Print the JSON Schema of the lines of a trace
    Schema(cmd::schema::Args),
    /// Do known numbers of kernel operations, to see or to test what they show
    Workload(cmd::workload::Args),
    /// Boot another kernel in QEMU, and run walkprobe or any other command in it
    Lab(cmd::lab::Args),
    /// Wait until told, then become the command (used by trace)
    #[command(name = "__exec", hide = true)]
    Exec(cmd::exec::Args),
    /// Make a function of the kernel slower until the input ends (used by tests)
    #[command(name = "__slow", hide = true)]
    Slow(cmd::slow::Args),
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Whatever goes wrong; [`crate::exit::code`] has its exit code.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        output::init_log(self.verbose);
        match self.command {
            Command::Doctor(args) => cmd::doctor::run(&args),
            Command::Top(args) => cmd::top::run(&args, self.verbose),
            Command::Trace(args) => cmd::trace::run(&args, self.verbose),
            Command::Maps(args) => cmd::maps::run(&args, &mut LiveSource::open(args.wants())),
            Command::Diff(args) => cmd::diff::run(&args),
            Command::Why(args) => cmd::why::run(&args, self.verbose),
            Command::Walks(args) => cmd::walks::run(&args),
            Command::Bench(args) => cmd::bench::run(&args),
            Command::Check(args) => cmd::check::run(&args),
            Command::Replay(args) => cmd::replay::run(&args),
            Command::Stats(args) => cmd::stats::run(&args),
            Command::Export(args) => cmd::export::run(&args),
            Command::Schema(_) => cmd::schema::run(),
            Command::Workload(args) => cmd::workload::run(&args),
            Command::Lab(args) => cmd::lab::run(&args),
            Command::Exec(args) => cmd::exec::run(&args),
            Command::Slow(args) => cmd::slow::run(&args),
        }
    }
}
