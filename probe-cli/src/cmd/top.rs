//! `walkprobe top`: the live view.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use probe_common::probe::{Family, Probe};

use super::target::{Target, pids};
use crate::{
    clock,
    live::{
        collector::{Collector, TICK},
        reader::Reader,
        start::start,
        walkers::Walkers,
    },
    plan::{Report, report},
    probe::{Later, RING_BYTES, Settings},
    stop::Stop,
    tui::{self, Feed, Info, Input, Request, Scope},
};

const EXAMPLES: &str = "Examples:
  walkprobe top
  walkprobe top -p 1234
  walkprobe top --batch -n 3 > frames.txt

Keys are shown by `?`, and in docs/keys.md.";

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show only these processes, and follow every change of their leaf maps
    #[arg(short, long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Print frames as text instead of opening the view
    #[arg(long)]
    batch: bool,
    /// With --batch: end after this many frames
    #[arg(short = 'n', long, value_name = "N", requires = "batch", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// Time between two looks at the kernel's counters, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = super::seconds)]
    interval: Duration,
}

/// Opens the view, or prints frames.
///
/// # Errors
/// When a process does not exist, nothing can be attached, or there is no terminal.
pub fn run(args: &Args, verbose: u8) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let targets = Target::open_all(&args.pid)?;
    let settings = Settings {
        families: families(!targets.is_empty()),
        stream: streamed(!targets.is_empty()),
        targets: pids(&targets),
        later: Later::default(),
        statistics: true,
        stacks: false,
        ring_bytes: RING_BYTES,
        log_level: if verbose == 0 { 0 } else { 5 },
    };
    let (facts, live) = start(&settings)?;
    let info = Info {
        release: facts.release.clone(),
        mode: mode(live.report()),
        attached: live.report().attached(),
        wanted: live.report().probes.len(),
        start: clock::monotonic(),
        scope: if targets.is_empty() { Scope::All } else { Scope::Chosen },
        is_replay: false,
        is_blind: false,
    };
    let mut collector = Collector::new(live, Reader::open(), &pids(&targets), TICK);
    if targets.is_empty() {
        collector = collector.with_census();
    }
    let info = Info { is_blind: collector.is_blind(), ..info };
    let feed = Box::new(LiveFeed {
        collector,
        interval: args.interval,
        due: Instant::now(),
        opened: None,
        walkers: Walkers::new(facts, pids(&targets)),
        counts_anew: false,
        answers: Vec::new(),
    });
    if args.batch {
        let out = std::io::stdout().lock();
        tui::batch(feed, &info, args.frames, args.interval, &stop, out)?;
    } else {
        tui::run(feed, info, tui::Options::from_environment(), &stop)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What changes leaves beside faults, splits and collapses is watched for some processes only: every
/// process maps, unmaps and exits all the time, and a probe costs even those that it leaves out.
fn families(some_processes: bool) -> Vec<Family> {
    let is_for_some =
        |family: &Family| matches!(family, Family::Change | Family::Migrate | Family::Vma);
    Family::ALL.into_iter().filter(|family| some_processes || !is_for_some(family)).collect()
}

/// What is frequent is only counted unless some processes are looked at: base page faults, and walks, because
/// monitoring agents walk everything all the time.
fn streamed(some_processes: bool) -> Vec<Probe> {
    let is_streamed = |probe: &Probe| match probe.family() {
        // Faults change the maps of those that are looked at.
        Family::Fault => some_processes,
        Family::Walk => some_processes && *probe == Probe::WalkVma,
        Family::Hugetlb
        | Family::Thp
        | Family::Split
        | Family::Collapse
        | Family::Change
        | Family::Migrate
        | Family::Vma => true,
    };
    Probe::ALL.into_iter().filter(is_streamed).collect()
}

fn mode(report: &Report) -> tui::Mode {
    match report.mode {
        report::Mode::Full => tui::Mode::Full,
        report::Mode::Reduced | report::Mode::Nothing => {
            tui::Mode::Reduced("`walkprobe doctor` tells why".to_owned())
        }
    }
}

/// The probes as a feed: events as they come, a sample every `interval`.
struct LiveFeed {
    collector: Collector,
    interval: Duration,
    due: Instant,
    /// The one process that the view has open; at most one is followed at once.
    opened: Option<u32>,
    walkers: Walkers,
    /// Their calls are to be counted from now on.
    counts_anew: bool,
    answers: Vec<Input>,
}

impl Feed for LiveFeed {
    fn ask(&mut self, request: Request) {
        match request {
            Request::Watch(_) | Request::Unwatch(_) => {
                if let Some(before) = self.opened.take() {
                    self.collector.unwatch(before, |input| self.answers.push(input));
                }
                if let Request::Watch(pid) = request {
                    self.collector.watch(pid);
                    self.opened = Some(pid);
                }
            }
            Request::Count => self.answers.extend(self.walkers.count().map(Input::Walkers)),
            Request::CountAnew => self.counts_anew = true,
            Request::Replay(_) => {}
        }
    }

    fn poll(&mut self, timeout: Duration) -> anyhow::Result<Vec<Input>> {
        let mut inputs = std::mem::take(&mut self.answers);
        let until_due = self.due.saturating_duration_since(Instant::now());
        self.collector.poll(timeout.min(until_due), |input| inputs.push(input))?;
        let is_due = Instant::now() >= self.due;
        if is_due {
            self.due = Instant::now() + self.interval;
            inputs.push(self.collector.sample()?.into());
        }
        let news = if std::mem::take(&mut self.counts_anew) {
            self.walkers.count_anew()?
        } else {
            self.walkers.look(is_due)?
        };
        inputs.extend(news.map(Input::Walkers));
        Ok(inputs)
    }
}
