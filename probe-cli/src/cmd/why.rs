//! `walkprobe why`: what changes a range of addresses, and who does it.

use std::{
    io::{self, Write},
    ops::Range,
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
    probe::{RING_BYTES, Settings},
    session::Session,
    stop::Stop,
    text::plain,
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
    /// End after this time, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    duration: Option<Duration>,
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
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let targets = Target::open_all(&[args.pid])?;
    let pids = super::target::pids(&targets);
    let settings = Settings {
        families: Family::ALL.to_vec(),
        targets: pids.clone(),
        ring_bytes: RING_BYTES,
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
    let view = View { range: args.range.clone(), json: args.json, start: clock::monotonic() };
    let mut out = io::stdout().lock();
    match watch(
        &mut collector,
        pids.first().copied().unwrap_or(args.pid),
        args,
        &view,
        &stop,
        &mut out,
    ) {
        Err(error) if is_closed(&error) => Ok(ExitCode::SUCCESS),
        outcome => outcome.map(|()| ExitCode::SUCCESS),
    }
}

fn watch(
    collector: &mut Collector,
    pid: u32,
    args: &Args,
    view: &View,
    stop: &Stop,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let deadline = args.duration.map(|duration| Instant::now() + duration);
    let mut session = Session::default();
    let mut told = 0;
    let mut has_begun = false;
    loop {
        let is_over = stop.requested()
            || deadline.is_some_and(|deadline| Instant::now() >= deadline)
            || collector.has_ended();
        if is_over {
            collector.tick(|input| session.take(input))?;
        } else {
            collector.poll(TICK, |input| session.take(input))?;
        }
        let Some(map) = session.maps().get(&pid) else {
            if is_over {
                let gone = format!("process {pid} ended before it could be read");
                return Err(Failure::NoProcess(gone).into());
            }
            continue;
        };
        if !has_begun {
            view.standing(map, out).map_err(failed)?;
            has_begun = true;
        }
        told = view.transactions(map, told, out).map_err(failed)?;
        if is_over {
            return view.standing(map, out).map_err(failed);
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
    range: Range<u64>,
    json: bool,
    start: u64,
}

impl View {
    /// What stands in the range now.
    fn standing(&self, map: &Tracked, out: &mut impl Write) -> io::Result<()> {
        let now = clock::monotonic();
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
                let standing = plain(&history::standing(map, piece, now));
                writeln!(out, "{:#x}-{:#x}  {standing}", range.start, range.end)?;
            }
        }
        out.flush()
    }

    /// The transactions on the range that have been read since; gives the number of the last one.
    fn transactions(&self, map: &Tracked, told: u64, out: &mut impl Write) -> io::Result<u64> {
        let mut last = told;
        let by: Vec<u64> = map.pieces(&self.range).iter().map(|(_, piece)| piece.by).collect();
        for transaction in map.transactions().iter().filter(|transaction| transaction.number > told)
        {
            // One after another: what comes later waits until this one has been read.
            if transaction.settled.is_none() {
                break;
            }
            last = transaction.number;
            if !transaction.concerns(&self.range) && !by.contains(&last) {
                continue;
            }
            if self.json {
                serde_json::to_writer(&mut *out, &history::document(transaction, map.pid()))?;
                writeln!(out)?;
            } else {
                writeln!(out, "{}", plain(&history::line(transaction, map.pid(), self.start)))?;
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
