//! `walkprobe walks`: what walks of page tables cost, walker by walker, on both paths, and by whom.

use std::{
    io,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::target::{Target, pids};
use crate::{
    exit::Failure,
    kernel::gather::gather,
    output,
    plan::{cure::cure, walks},
    probe::{self, WalkSettings, Walks},
    stop::Stop,
    walk::{
        registry::WALKERS,
        report::{Material, Report},
        text,
    },
};

const EXAMPLES: &str = "Examples:
  walkprobe walks
  walkprobe walks -p 1234 --duration 10
  walkprobe walks --walker smaps --walker pagemap --json | jq '.walkers[].ratios'

Counts until interrupted, or for --duration, and then prints a table. docs/walks.md tells what stands in it,
docs/walkers.md which walkers there are.

Exit status: 0, 4 when nothing can be watched on this kernel or without more rights";

/// Arguments of `walks`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only walks of this process's address space; can be given several times
    #[arg(short, long, value_name = "PID")]
    pid: Vec<u32>,
    /// Only this walker; can be given several times
    #[arg(long, value_name = "NAME", value_parser = known)]
    walker: Vec<&'static str>,
    /// End after this time, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    duration: Option<Duration>,
    /// Print one JSON document, with the durations in buckets
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values, a line for each walker, path and level
    #[arg(long)]
    csv: bool,
}

/// A walker of the registry.
fn known(name: &str) -> Result<&'static str, String> {
    let names = || WALKERS.iter().map(|walker| walker.name);
    names().find(|known| *known == name).ok_or_else(|| {
        format!("there is no such walker; walkers are: {}", names().collect::<Vec<_>>().join(", "))
    })
}

/// How long the interruption of a wait may take.
const LOOK: Duration = Duration::from_millis(50);

/// Counts, and prints what came of it.
///
/// # Errors
/// When a process does not exist, nothing can be attached, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let targets = Target::open_all(&args.pid)?;
    let (facts, _) = gather(probe::mechanisms);
    let mut plan = walks::plan(&facts);
    if !args.walker.is_empty() {
        plan.walkers.retain(|plan| args.walker.contains(&plan.walker.name));
    }
    let settings = WalkSettings { targets: pids(&targets) };
    let mut walks = Walks::start(&facts, plan, &settings)
        .map_err(|error| Failure::Impossible(format!("{error}; {}", cure(&facts))))?;
    if let Some(why) = walks.plan().refusal(&facts) {
        return Err(Failure::Impossible(why).into());
    }
    let begin = crate::clock::monotonic();
    output::say("counting; Ctrl-C ends it");
    let end = args.duration.map(|duration| Instant::now() + duration);
    let is_over = || {
        stop.requested()
            || end.is_some_and(|end| Instant::now() >= end)
            || !targets.is_empty() && targets.iter().all(Target::has_ended)
    };
    while !is_over() {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        thread::sleep(left.map_or(LOOK, |left| left.min(LOOK)));
    }
    let duration = crate::clock::monotonic().saturating_sub(begin);
    let sample = walks.finish()?;
    let mut report = Report::new(&Material {
        kernel: &facts.release,
        plan: walks.plan(),
        sample: &sample,
        duration,
        calibration: walks.calibration(),
    });
    report.name(probe::current_comm);
    print(args, &report)?;
    Ok(ExitCode::SUCCESS)
}

fn print(args: &Args, report: &Report) -> anyhow::Result<()> {
    if args.csv {
        return text::write_csv(report, io::stdout().lock()).map_err(|error| {
            Failure::Output { target: "standard output".to_owned(), error }.into()
        });
    }
    let text = if args.json {
        serde_json::to_string_pretty(report)? + "\n"
    } else {
        let mut text = String::new();
        text::write(report, &mut text)?;
        text
    };
    Ok(output::print(&text)?)
}
