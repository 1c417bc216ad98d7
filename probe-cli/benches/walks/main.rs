//! What counting walkers costs those who walk: a process reads its smaps again and again, with nothing attached, and while
//! the calls are timed by `walkprobe walks`, by a bpftrace script, and by ftrace's function_graph:
//! `cargo xtask bench walks`, which runs this in a guest. Prints tables in Markdown. The argument is the number of rounds.

#[path = "../live/functions.rs"]
#[expect(dead_code, reason = "the other benchmark uses the rest")]
mod functions;
#[path = "../live/spread.rs"]
mod spread;
#[path = "../live/watchers.rs"]
#[expect(dead_code, reason = "the other benchmark uses the rest")]
mod watchers;

mod graph;
mod load;
mod samples;
mod tables;
mod tools;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

use self::{load::Load, samples::Samples, tools::Tool};

/// Batches of a setting in a round that are not measured.
const WARM_UP: usize = 1;

/// Batches of a setting in a round that are measured.
const BATCHES: usize = 3;

fn main() -> Result<()> {
    let rounds: usize = std::env::args().nth(1).unwrap_or("1".to_owned()).parse()?;
    // Addresses that are the same each time, so that each batch is the same.
    std::fs::write("/proc/sys/kernel/randomize_va_space", "0")?;
    let functions = tools::functions()?;
    let mut samples = Samples::default();
    for _ in 0..rounds {
        for (setting, tool) in tools::ALL.into_iter().enumerate() {
            let mut running = tool.start(&functions)?;
            for _ in 0..WARM_UP {
                samples.made(setting, Load::start()?.run()?.made);
            }
            for _ in 0..BATCHES {
                let done = Load::start()?.run()?;
                samples.made(setting, done.made);
                samples.add(setting, &done);
            }
            let memory = running.memory()?;
            let attached = running.attached;
            let counted = running.stop(&functions)?;
            samples.ended(setting, attached, memory, counted);
        }
    }
    let all = tools::attach_all().context("walkprobe with all walkers")?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "Kernel {}, {}, {}; {rounds} rounds of {BATCHES} batches after {WARM_UP} that was not measured. A batch is {} readings of \
         smaps, {:.0} calls each.",
        release.trim(),
        watchers::version(&watchers::walkprobe()?)?,
        watchers::version(&watchers::bpftrace()?)?,
        load::READS,
        samples.calls_per_read(),
    )?;
    tables::write(&mut out, &samples, &all, &functions).context("cannot write the tables")
}

impl Tool {
    /// Its place in [`tools::ALL`].
    const fn setting(self) -> usize {
        self as usize
    }
}
