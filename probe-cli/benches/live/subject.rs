//! The process that is watched: it does a batch of operations whenever it is asked to.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

use super::operations;

/// The first word of its command line.
pub(crate) const WORD: &str = "subject";

/// The process, seen from the one that measures.
pub(crate) struct Subject {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Subject {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().context("no standard input")?;
        let answers = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, orders, answers })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One batch: the CPU time that all operations of a kind took, the kernel's part included, in ns and in the
    /// order of [`operations::ALL`].
    pub(crate) fn batch(&mut self) -> Result<Vec<f64>> {
        self.orders.write_all(b"batch\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let took: Vec<f64> = line.split_whitespace().filter_map(|ns| ns.parse().ok()).collect();
        if took.len() != operations::ALL.len() {
            bail!("the watched process did not answer: it said `{}`", line.trim());
        }
        Ok(took)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // It is our own child, and there is no more to be done when it cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// Keeps this thread, and what it starts, in its place.
pub(crate) fn pin(place: Place) -> Result<()> {
    // Not what this process may use: the one that started it has chosen already.
    let cpus = std::fs::read_dir("/sys/bus/cpu/devices")?.count();
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
