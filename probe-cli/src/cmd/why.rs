//! `walkprobe why`: what changes a range of addresses, and who does it.

use std::{
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use probe_common::probe::Family;

use super::target::Target;
use crate::{
    clock,
    exit::Failure,
    live::{
        collector::{Collector, TICK},
        reader::Reader,
        start::start,
    },
    maps::history,
    model::leaf::LeafSize,
    output,
    probe::{RING_BYTES, RING_BYTES_WITH_STACKS, Settings},
    session::Session,
    stop::Stop,
    text::plain,
    trace,
    track::map::Tracked,
};

const EXAMPLES: &str = "Examples:
  walkprobe why 0x7f12a4000000 -p 1234
  walkprobe why 0x7f12a4000000-0x7f12a6000000 -p 1234 --duration 10 --json

It begins with what stands there, tells each operation on the range when its effect has been read, and ends with
what stands there then. `walkprobe maps PID` lists the ranges.";

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An address, or a range START-END, in hexadecimal
    #[arg(value_name = "ADDRESS", value_parser = range)]
    range: Range<u64>,
    /// The process
    #[arg(short, long, value_name = "PID")]
    pid: u32,
    /// Look at a trace that was recorded with `trace --maps` instead of a running process
    #[arg(long, value_name = "FILE", conflicts_with_all = ["duration", "tick", "stacks"])]
    from: Option<PathBuf>,
    /// End after this time, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    duration: Option<Duration>,
    /// Tell who called, too: the functions of the kernel and of the program
    #[arg(long)]
    stacks: bool,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
    /// Time between two readings of what has been marked, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    tick: Option<Duration>,
}

/// An address or a range of them, as whole pages.
fn range(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let (start, end) = match text.split_once('-') {
        Some((start, end)) => (number(start), number(end)),
        None => (number(text), number(text).and_then(|start| start.checked_add(1))),
    };
    let page = LeafSize::BASE.bytes();
    start
        .zip(end)
        .filter(|(start, end)| start < end)
        .and_then(|(start, end)| Some(start & !(page - 1)..end.checked_next_multiple_of(page)?))
        .ok_or_else(|| "an address is wanted, or START-END, such as 0x7f12a4000000".to_owned())
}

/// Watches the range.
///
/// # Errors
/// When the process does not exist, nothing can be attached, or the output cannot be written.
pub fn run(args: &Args, verbose: u8) -> anyhow::Result<ExitCode> {
    let outcome = match &args.from {
        Some(file) => recorded(file, args),
        None => live(args, verbose),
    };
    match outcome {
        Err(error) if is_closed(&error) => Ok(ExitCode::SUCCESS),
        outcome => outcome.map(|()| ExitCode::SUCCESS),
    }
}

/// From a trace.
fn recorded(file: &Path, args: &Args) -> anyhow::Result<()> {
    let name = output::name(file);
    let mut reader = trace::open::open(file)?;
    let mut view = View::new(args, reader.start());
    let mut session = Session::default();
    let mut out = io::stdout().lock();
    while let Some(input) = reader.next_input().with_context(|| format!("cannot read {name}"))? {
        view.now = view.now.max(input.time());
        session.take(input);
        view.show(&session, &mut out)?;
    }
    for complaint in reader.complaints().into_iter().chain(session.left_out().complaints()) {
        output::say(&format!("{name}: {complaint}"));
    }
    view.end(&session, &mut out)
}

/// From a running process.
fn live(args: &Args, verbose: u8) -> anyhow::Result<()> {
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let targets = Target::open_all(&[args.pid])?;
    let pids = super::target::pids(&targets);
    let settings = Settings {
        families: Family::ALL.to_vec(),
        targets: pids.clone(),
        ring_bytes: if args.stacks { RING_BYTES_WITH_STACKS } else { RING_BYTES },
        stacks: args.stacks,
        log_level: if verbose == 0 { 0 } else { 5 },
        ..Settings::default()
    };
    let (_, live) = start(&settings)?;
    let mut collector = Collector::new(live, Reader::open(), &pids, args.tick.unwrap_or(TICK));
    if collector.is_blind() {
        output::say(
            "this kernel tells of faults and collapses only: other causes stay unseen; `walkprobe doctor` \
             tells why",
        );
    }
    let mut view = View::new(args, clock::monotonic());
    view.pid = pids.first().copied().unwrap_or(args.pid);
    let mut out = io::stdout().lock();
    let deadline = args.duration.map(|duration| Instant::now() + duration);
    let mut session = Session::default();
    loop {
        let is_over = stop.requested()
            || deadline.is_some_and(|deadline| Instant::now() >= deadline)
            || collector.has_ended();
        if is_over {
            collector.tick(|input| session.take(input))?;
        } else {
            collector.poll(TICK, |input| session.take(input))?;
        }
        view.now = clock::monotonic();
        view.show(&session, &mut out)?;
        if is_over {
            return view.end(&session, &mut out);
        }
    }
}

fn failed(error: io::Error) -> anyhow::Error {
    Failure::Output { target: "standard output".to_owned(), error }.into()
}

fn is_closed(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(Failure::Output { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe
    )
}

/// How the range is shown.
struct View {
    pid: u32,
    range: Range<u64>,
    json: bool,
    start: u64,
    now: u64,
    /// The number of the last transaction that was told.
    told: u64,
    has_begun: bool,
}

impl View {
    fn new(args: &Args, start: u64) -> Self {
        let range = args.range.clone();
        Self { pid: args.pid, range, json: args.json, start, now: start, told: 0, has_begun: false }
    }

    /// Shows what is new.
    fn show(&mut self, session: &Session, out: &mut impl Write) -> anyhow::Result<()> {
        let Some(map) = session.maps().get(&self.pid) else { return Ok(()) };
        if !self.has_begun {
            self.standing(map, out).map_err(failed)?;
            self.has_begun = true;
        }
        self.told = self.transactions(map, out).map_err(failed)?;
        Ok(())
    }

    /// Shows how it ended.
    fn end(&self, session: &Session, out: &mut impl Write) -> anyhow::Result<()> {
        let Some(map) = session.maps().get(&self.pid) else {
            let pid = self.pid;
            let none =
                format!("nothing was read of process {pid}: it ended, or is not in the trace");
            return Err(Failure::NoProcess(none).into());
        };
        self.standing(map, out).map_err(failed)
    }

    /// What stands in the range now.
    fn standing(&self, map: &Tracked, out: &mut impl Write) -> io::Result<()> {
        let pieces = map.pieces(&self.range);
        if self.json {
            for (range, piece) in &pieces {
                serde_json::to_writer(&mut *out, &history::piece(map, range, piece))?;
                writeln!(out)?;
            }
        } else if pieces.is_empty() {
            let what = if map.has_ended() { "the process has ended" } else { "no VMA" };
            writeln!(out, "{:#x}-{:#x}  {what}", self.range.start, self.range.end)?;
        } else {
            for (range, piece) in &pieces {
                let standing = plain(&history::standing(map, piece, self.now));
                writeln!(out, "{:#x}-{:#x}  {standing}", range.start, range.end)?;
            }
        }
        out.flush()
    }

    /// The transactions on the range that have been read since; gives the number of the last one.
    fn transactions(&self, map: &Tracked, out: &mut impl Write) -> io::Result<u64> {
        let mut last = self.told;
        let makers = map.makers(&self.range);
        for transaction in map.settled_after(self.told) {
            last = transaction.number;
            if !transaction.concerns(&self.range) && makers.binary_search(&last).is_err() {
                continue;
            }
            if self.json {
                serde_json::to_writer(&mut *out, &history::document(transaction, map.pid()))?;
                writeln!(out)?;
            } else {
                writeln!(out, "{}", plain(&history::line(transaction, map.pid(), self.start)))?;
                if let Some(callers) = history::callers(&transaction.cause) {
                    writeln!(out, "           called by {}", plain(&callers))?;
                }
            }
        }
        out.flush()?;
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_whole_pages() {
        assert_eq!(range("0x1fff"), Ok(0x1000..0x2000));
        assert_eq!(range("1001-0x2001"), Ok(0x1000..0x3000));
        for wrong in ["", "x", "2000-1000", "0xffffffffffffffff", "-", "1-2-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
