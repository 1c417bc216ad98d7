//! `walkprobe bench`: walkers driven over known address spaces, measured, for `walkprobe check` to compare.

mod boots;

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::space::SpaceSize;
use crate::{
    bench::{
        measure::measure,
        results::{Results, Settings},
        suite::{SUITES, Suite},
    },
    exit::Failure,
    kernel::gather::gather,
    live::source::LiveSource,
    maps::source::Wants,
    output,
    probe::{self, Slow, Slower},
    workload::walks::{DRIVERS, SPACES},
};

const EXAMPLES: &str = "Examples:
  walkprobe bench -o before.json
  walkprobe bench --suite all --samples 20 -o all.json
  walkprobe bench --kernel arch/x86/boot/bzImage --deterministic -o after.json
  walkprobe bench --list

docs/bench.md tells what stands in the file.

Exit status: 0, 4 when nothing can be counted on this kernel or without more rights, 6 when the file cannot be written,
122 to 125 with --kernel when the guest panicked, hung, exceeded its time, or could not be booted";

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to measure: --list explains
    #[arg(long, value_name = "NAME", default_value = SUITES[0].name, value_parser = suite)]
    suite: &'static Suite,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    much: Much,
    #[command(flatten)]
    guests: Guests,
    /// Make a function of the kernel slower by so many rounds of an empty loop: to see whether `check` finds it
    #[arg(long, value_name = "FUNCTION=ROUNDS", hide = true, value_parser = slower)]
    slow: Option<(String, u32)>,
    /// Explain the suites, and measure nothing
    #[arg(long)]
    list: bool,
}

/// How much to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Much {
    /// Samples of each walker over each space
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    samples: u32,
    /// How often a walker goes over the space in a sample
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rounds: u64,
    /// Samples before those, which are not kept
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(0..=1000))]
    warm_up: u32,
    #[command(flatten)]
    size: SpaceSize,
    /// How often all of it: each time with a new process, or, with --kernel, in a new boot
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
}

impl Default for Much {
    /// As the command line has it that says nothing.
    fn default() -> Self {
        Self { samples: 10, rounds: 3, warm_up: 1, size: SpaceSize { blocks: 4 }, runs: 5 }
    }
}

impl Much {
    /// The settings, and how many runs.
    pub(super) fn settings(self) -> (Settings, u32) {
        let Self { samples, rounds, warm_up, size, runs } = self;
        (Settings { rounds, samples, warm_up, blocks: size.blocks }, runs)
    }
}

/// Which guests to boot, where not this kernel is measured.
#[derive(Debug, clap::Args)]
struct Guests {
    /// Measure this kernel in guests, each booted a little differently: the path of a bzImage, or a series of Debian's kernels
    #[arg(long, value_name = "PATH|SERIES")]
    kernel: Option<String>,
    /// Count instructions instead of time: see docs/lab.md
    #[arg(long, requires = "kernel")]
    deterministic: bool,
    /// Memory of a guest
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = super::guest::memory,
        requires = "kernel")]
    memory: String,
    /// Words for the guests' kernel command line
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        allow_hyphen_values = true,
        requires = "kernel"
    )]
    append: String,
    /// Give up when a guest measures longer than this, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = super::seconds,
        requires = "kernel")]
    timeout: Duration,
    /// The QEMU to use, instead of the one in the cache or on PATH
    #[arg(long, value_name = "PATH", requires = "kernel")]
    qemu: Option<PathBuf>,
}

fn slower(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('=');
    let parts = parts.and_then(|(name, rounds)| Some((name.to_owned(), rounds.parse().ok()?)));
    parts.ok_or_else(|| "FUNCTION=ROUNDS is wanted".to_owned())
}

/// A suite by its name.
pub(super) fn suite(name: &str) -> Result<&'static Suite, String> {
    Suite::named(name).ok_or_else(|| {
        let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        format!("there is no such suite; suites are: {}", names.join(", "))
    })
}

/// Measures, and writes what came of it.
///
/// # Errors
/// When nothing can be counted, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.list {
        output::print(&list())?;
        return Ok(ExitCode::SUCCESS);
    }
    // The output before the work: a wrong path should not cost the measuring.
    let path = args.output.as_deref().filter(|path| *path != "-");
    let file = path.map(output::create).transpose()?;
    let results = if let Some(kernel) = &args.guests.kernel {
        boots::measure(args, kernel)?
    } else {
        let slow = args.slow.as_ref();
        let slow = slow.map(|(name, rounds)| Slow::begin(name, Slower::Rounds(*rounds)));
        let _slow = slow.transpose()?.transpose().map_err(Failure::Impossible)?;
        here(args.suite, args.much.settings())?
    };
    let mut text = serde_json::to_string(&results)?;
    text.push('\n');
    match (file, path) {
        (Some(mut file), Some(path)) => file
            .write_all(text.as_bytes())
            .map_err(|error| Failure::Output { target: output::name(path), error })?,
        _ => output::print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures this kernel.
pub(super) fn here(suite: &Suite, much: (Settings, u32)) -> anyhow::Result<Results> {
    let (facts, _) = gather(probe::mechanisms);
    let mut source = LiveSource::open(Wants::default());
    let bar = bar();
    let results = measure(suite, much, &facts, &mut source, &mut |done, all, what| {
        bar.set_length(all);
        bar.set_position(done);
        bar.set_message(what.to_owned());
    });
    bar.finish_and_clear();
    results
}

/// It is on standard error, and only where that is a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn list() -> String {
    let named = |all: Vec<&str>, number: usize| {
        if all.len() == number { "all".to_owned() } else { all.join(", ") }
    };
    let suite = |suite: &Suite| {
        let spaces = named(suite.spaces().collect(), SPACES.len());
        let walkers = named(suite.walkers().collect(), DRIVERS.len());
        format!(
            "{}: {}\n  address spaces: {spaces}\n  walkers: {walkers}\n",
            suite.name, suite.about
        )
    };
    SUITES.iter().map(suite).collect()
}
