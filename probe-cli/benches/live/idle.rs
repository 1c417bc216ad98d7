//! What walkprobe takes while the watched process does nothing.

use std::{
    io::{self, BufRead as _, BufReader, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    functions::Functions,
    memory::{Area, PAGE, PMD},
    watchers::Kind,
};

/// The first word of the command line of the process.
pub(crate) const WORD: &str = "idle";

const LENGTH: usize = 64 << 30;

/// The time that is looked at.
const WINDOW: Duration = Duration::from_secs(20);

/// What was measured.
pub(crate) struct Idle {
    cpu: Duration,
    wall: Duration,
}

impl Idle {
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n## Watching a process of 64 GiB that does nothing\n")?;
        writeln!(
            out,
            "One anonymous mapping of 64 GiB with MADV_HUGEPAGE, read once in each 2 MiB: {} PMD leaves that\n\
             all map the kernel's huge page of zeroes, for no guest has so much memory. The process then sleeps. In {:.0} s\n\
             walkprobe took {:.0} ms of CPU time: {:.2} % of one CPU.",
            LENGTH / PMD,
            self.wall.as_secs_f64(),
            self.cpu.as_secs_f64() * 1e3,
            self.cpu.as_secs_f64() / self.wall.as_secs_f64() * 100.0,
        )
    }
}

/// Watches such a process for a while.
pub(crate) fn measure(functions: &Functions) -> Result<Idle> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(WORD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
    let mut watcher = Kind::Walkprobe.start(functions, child.id())?;
    let (start, before) = (Instant::now(), watcher.cpu()?);
    std::thread::sleep(WINDOW);
    let idle = Idle { cpu: watcher.cpu()?.saturating_sub(before), wall: start.elapsed() };
    watcher.stop(functions)?;
    drop(child.stdin.take());
    child.wait()?;
    Ok(idle)
}

/// What the process does: it maps, reads, and sleeps until its standard input ends.
pub(crate) fn hold() -> Result<()> {
    let area = Area::huge(LENGTH)?.context("THP is switched off")?;
    for thp in (0..LENGTH).step_by(PMD) {
        area.read(thp..thp + PAGE);
    }
    writeln!(io::stdout(), "ready")?;
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}
