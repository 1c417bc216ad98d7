//! How many page faults a second can be recorded before any is lost: `cargo xtask bench trace` runs this in a guest.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::Result;

use super::{
    functions,
    rate::Faults,
    recorders::{Recorded, Recorder},
    subject::{self, Place},
    watchers,
};

/// The first word of the command line.
pub(crate) const WORD: &str = "loss";

/// How long each rate is held.
const TIME: Duration = Duration::from_secs(5);

/// Faults a second at first; doubled until some are lost.
const FIRST: u64 = 25_000;

/// How often the gap between the most without loss and the least with it is halved.
const HALVES: usize = 3;

/// What came of one rate.
struct Outcome {
    /// Faults a second, as they were done.
    rate: u64,
    done: u64,
    /// Faults that are in no line.
    absent: u64,
    /// Faults that are missing by its own account.
    lost: u64,
    /// The process could do no more.
    is_most: bool,
}

pub(crate) fn measure() -> Result<()> {
    subject::pin(Place::Beside)?;
    functions::mount()?;
    let mut faults = Faults::start()?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "Kernel {}, {}, {}, {} CPUs; each rate was held for {} s.\n",
        release.trim(),
        watchers::version(&watchers::walkprobe()?)?,
        watchers::version(&watchers::bpftrace()?)?,
        subject::cpus()?,
        TIME.as_secs(),
    )?;
    let (done, time) = faults.run(u64::MAX, TIME)?;
    writeln!(
        out,
        "With nothing attached the process does {} faults a second.\n",
        per_second(done, time)
    )?;
    writeln!(
        out,
        "| | faults/s without loss | first loss at faults/s | lost then, by its own count | absent then |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|")?;
    for recorder in Recorder::ALL {
        writeln!(out, "{}", row(recorder, &mut faults)?)?;
    }
    Ok(())
}

/// The most without loss, and the least with it.
#[derive(Default)]
struct Found {
    good: Option<Outcome>,
    bad: Option<Outcome>,
}

impl Found {
    fn take(&mut self, outcome: Outcome) {
        let place = if outcome.is_whole() { &mut self.good } else { &mut self.bad };
        *place = Some(outcome);
    }
}

fn row(recorder: Recorder, faults: &mut Faults) -> Result<String> {
    let mut found = Found::default();
    let mut rate = FIRST;
    while found.bad.is_none() {
        let outcome = attempt(recorder, faults, rate)?;
        let is_most = outcome.is_most;
        found.take(outcome);
        if is_most {
            break;
        }
        rate *= 2;
    }
    for _ in 0..HALVES {
        let Some(bad) = &found.bad else { break };
        let good = found.good.as_ref().map_or(0, |good| good.rate);
        let between = u64::midpoint(good, bad.rate);
        found.take(attempt(recorder, faults, between)?);
    }
    let without = match (&found.good, &found.bad) {
        (Some(good), None) => format!("{}, the most that the process does", good.rate),
        (Some(good), Some(_)) => good.rate.to_string(),
        (None, _) => "none".to_owned(),
    };
    let with = found.bad.map_or("none | | ".to_owned(), |bad| {
        let absent = bad.absent * 100 / bad.done.max(1);
        format!("{} | {} of {} | {absent} %", bad.rate, bad.lost, bad.done)
    });
    Ok(format!("| {} | {without} | {with} |", recorder.name()))
}

fn attempt(recorder: Recorder, faults: &mut Faults, rate: u64) -> Result<Outcome> {
    let recording = recorder.start(faults.pid())?;
    let (done, time) = faults.run(rate, TIME)?;
    let Recorded { lines, lost } = recording.end()?;
    let reached = per_second(done, time);
    // For whoever waits, and for what looks whether the guest hangs.
    writeln!(
        io::stderr(),
        "{}: {reached} faults/s, {done} done, {lines} recorded, {lost} lost",
        recorder.name()
    )?;
    Ok(Outcome {
        rate: reached,
        done,
        absent: done.saturating_sub(lines),
        lost,
        is_most: reached < rate / 10 * 9,
    })
}

impl Outcome {
    const fn is_whole(&self) -> bool {
        self.lost == 0 && self.absent == 0
    }
}

/// In tens: more says nothing.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is rounded"
)]
fn per_second(done: u64, time: Duration) -> u64 {
    (done as f64 / time.as_secs_f64() / 10.0).round() as u64 * 10
}
