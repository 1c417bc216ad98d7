//! The process that is watched: it does a batch of operations whenever it is asked to.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

use super::{operations, worker::Worker};

/// The first word of its command line.
pub(crate) const WORD: &str = "subject";

/// The process, seen from the one that measures.
pub(crate) struct Subject(Worker);

impl Subject {
    pub(crate) fn start() -> Result<Self> {
        Worker::start(WORD).map(Self)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// One batch: the CPU time that all operations of a kind took, the kernel's part included, in ns and in the
    /// order of [`operations::ALL`].
    pub(crate) fn batch(&mut self) -> Result<Vec<f64>> {
        let line = self.0.ask("batch")?;
        let took: Vec<f64> = line.split_whitespace().filter_map(|ns| ns.parse().ok()).collect();
        if took.len() != operations::ALL.len() {
            bail!("the watched process did not answer: it said `{}`", line.trim());
        }
        Ok(took)
    }
}

/// What the process does: a batch for each line.
pub(crate) fn work() -> Result<()> {
    pin(Place::Apart)?;
    for line in io::stdin().lines() {
        line?;
        let took = operations::ALL.map(|operation| (operation.run)(operation.count));
        let took: Result<Vec<String>> =
            took.into_iter().map(|took| Ok(took?.as_nanos().to_string())).collect();
        writeln!(io::stdout(), "{}", took?.join(" "))?;
    }
    Ok(())
}

/// How long the thread has run until now.
pub(crate) fn own_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

/// On which CPU something runs, where there is more than one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The last one: the watched process alone.
    Apart,
    /// Any other: all else.
    Beside,
}

/// How many CPUs there are.
pub(crate) fn cpus() -> Result<usize> {
    Ok(std::fs::read_dir("/sys/bus/cpu/devices")?.count())
}

/// Keeps this thread, and what it starts, in its place.
pub(crate) fn pin(place: Place) -> Result<()> {
    // Not what this process may use: the one that started it has chosen already.
    let cpus = cpus()?;
    if cpus < 2 {
        return Ok(());
    }
    let mut set = CpuSet::new();
    match place {
        Place::Apart => set.set(cpus - 1),
        Place::Beside => (0..cpus - 1).for_each(|cpu| set.set(cpu)),
    }
    sched_setaffinity(None, &set).context("cannot choose a CPU")
}
