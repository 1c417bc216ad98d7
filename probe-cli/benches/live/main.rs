//! What watching costs the watched process, in one run: nothing attached, watched by walkprobe, and beside
//! bpftrace scripts that only count the same functions: `cargo xtask bench live`, which runs this in a guest.
//! Prints tables in Markdown. The argument is the number of rounds, or `loss`: how much is recorded before anything is lost.

#[path = "../../tests/guest/memory.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod memory;

mod functions;
mod idle;
mod loss;
mod operations;
mod rate;
mod recorders;
mod samples;
mod spread;
mod subject;
mod tables;
mod watchers;
mod worker;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

use self::{functions::Functions, samples::Samples, subject::Subject, watchers::Watcher};

/// Batches of a setting in a round that are not measured.
const WARM_UP: usize = 1;

/// Batches of a setting in a round that are measured.
const BATCHES: usize = 3;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(subject::WORD) => subject::work(),
        Some(idle::WORD) => idle::hold(),
        Some(rate::WORD) => rate::work(),
        Some(loss::WORD) => loss::measure(),
        rounds => measure(rounds.unwrap_or("1").parse().context("how many rounds?")?),
    }
}

fn measure(rounds: usize) -> Result<()> {
    subject::pin(subject::Place::Beside)?;
    let functions = Functions::of_walkprobe()?;
    let mut subject = Subject::start()?;
    let mut samples = Samples::default();
    for _ in 0..rounds {
        for (setting, watcher) in watchers::ALL.into_iter().enumerate() {
            let watching = watcher.map(|watcher| watcher.start(&functions, subject.pid()));
            let mut watching = watching.transpose()?;
            for _ in 0..WARM_UP {
                subject.batch()?;
            }
            for _ in 0..BATCHES {
                let before = watching.as_mut().map(Watcher::cpu).transpose()?;
                let batch = subject.batch()?;
                let after = watching.as_mut().map(Watcher::cpu).transpose()?;
                samples.add(setting, &batch, before.zip(after));
            }
            if let Some(watching) = watching {
                watching.stop(&functions)?;
            }
        }
    }
    drop(subject);
    let idle = idle::measure(&functions)?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "Kernel {}, {}, {}; {rounds} rounds of {BATCHES} batches after {WARM_UP} that was not measured.",
        release.trim(),
        watchers::version(&watchers::walkprobe()?)?,
        watchers::version(&watchers::bpftrace()?)?,
    )?;
    tables::write(&mut out, &samples, &functions).context("cannot write the tables")?;
    idle.write(&mut out)?;
    Ok(())
}
