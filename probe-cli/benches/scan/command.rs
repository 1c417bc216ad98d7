//! The whole command.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Result, bail};

use super::{
    ROUNDS,
    measure::{median, nanoseconds},
    memory::Area,
};

/// Runs `walkprobe maps` on this process with 4 GiB of base pages.
pub(crate) fn table(out: &mut impl Write) -> Result<()> {
    const LENGTH: usize = 4 << 30;
    let area = Area::base(LENGTH)?;
    area.write(0..LENGTH);
    let (mut start_only, mut maps, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        start_only.push(run(&["--version"])?);
        maps.push(run(&["maps", &std::process::id().to_string()])?);
        more.push(maps[maps.len() - 1] - start_only[start_only.len() - 1]);
    }
    drop(area);
    let ms = |times| median(times).unwrap_or(0.0) / 1e6;
    writeln!(out, "\n## The whole command, on a process with 4 GiB of base pages\n")?;
    writeln!(out, "| what | ms |\n|---|---|")?;
    writeln!(out, "| start of the process: `walkprobe --version` | {:.1} |", ms(start_only))?;
    writeln!(out, "| `walkprobe maps PID` | {:.1} |", ms(maps))?;
    writeln!(out, "| the difference, round by round | {:.1} |", ms(more))?;
    Ok(())
}

fn run(arguments: &[&str]) -> Result<f64> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walkprobe"));
    let start = Instant::now();
    let status = command.args(arguments).stdout(Stdio::null()).status()?;
    let took = nanoseconds(start.elapsed());
    if !status.success() {
        bail!("walkprobe {arguments:?} ended with {status}");
    }
    Ok(took)
}
