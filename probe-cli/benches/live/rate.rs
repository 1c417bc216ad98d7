//! A process that faults as often as it is asked to.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{
    memory::{Area, PAGE},
    subject::{self, Place},
    worker::Worker,
};

/// The first word of its command line.
pub(crate) const WORD: &str = "faults";

/// Pages that are touched, and then given back, before the time is looked at.
const PAGES: usize = 64;

/// Below this it is not worth while to sleep.
const SPIN: Duration = Duration::from_micros(200);

/// The process, seen from the one that measures.
pub(crate) struct Faults(Worker);

impl Faults {
    pub(crate) fn start() -> Result<Self> {
        Worker::start(WORD).map(Self)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Does so many faults a second, or as many as it can; gives how many it did, and in which time.
    pub(crate) fn run(&mut self, rate: u64, time: Duration) -> Result<(u64, Duration)> {
        let [done, ns] = numbers(&self.0.ask(&format!("{rate} {}", time.as_millis()))?)?;
        Ok((done, Duration::from_nanos(ns)))
    }
}

/// What the process does: so many faults a second, for so many milliseconds, for each line.
pub(crate) fn work() -> Result<()> {
    subject::pin(Place::Apart)?;
    let area = Area::base(PAGES * PAGE)?;
    for line in io::stdin().lines() {
        let [rate, ms] = numbers(&line?)?;
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(ms) {
            area.write(0..PAGES * PAGE);
            area.advise(0..PAGES * PAGE, libc::MADV_DONTNEED)?;
            done += PAGES as u64;
            let due = start + Duration::from_nanos(done * 1_000_000_000 / rate);
            loop {
                let left = due.saturating_duration_since(Instant::now());
                match left {
                    Duration::ZERO => break,
                    left if left > SPIN => std::thread::sleep(left),
                    _ => std::hint::spin_loop(),
                }
            }
        }
        writeln!(io::stdout(), "{done} {}", start.elapsed().as_nanos())?;
    }
    Ok(())
}

fn numbers(line: &str) -> Result<[u64; 2]> {
    let words = line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let [one, other] = words[..] else { bail!("`{}` is not what was expected", line.trim()) };
    Ok([one, other])
}
