//! The scan of page tables beside the kernel's own interfaces, in one run and on the same areas:
//! `cargo xtask bench scan`, as root. Prints tables in Markdown.

#[path = "../../tests/guest/memory.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod memory;

mod command;
mod measure;
mod readers;
mod settings;
mod subjects;
mod vmas;

use std::io::{self, Write};

use anyhow::Result;

use self::{measure::Times, readers::Readers};

/// Rounds over all readers.
const ROUNDS: usize = 15;

/// How often a reader reads before it is measured.
const WARM_UP: usize = 4;

fn main() -> Result<()> {
    let mut readers = Readers::open()?;
    let mut out = io::stdout().lock();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    writeln!(out, "Kernel {}, {ROUNDS} rounds.", release.trim())?;
    let mut rows = Vec::new();
    for subject in subjects::ALL {
        let name = subject.name;
        match (subject.make)()? {
            Ok(made) => rows.push((name, Times::take(&mut readers, &made)?)),
            Err(why) => writeln!(out, "\nLeft out: {name}, {why}.")?,
        }
    }
    writeln!(out, "\n## Time per 4 KiB\n\nMedian in ns per 4 KiB of the area.\n")?;
    table(&mut out, &rows, Times::per_page)?;
    writeln!(out, "\n## Times slower than the scan for the same facts\n")?;
    writeln!(
        out,
        "Median of the ratios of each round: to the scan; for `same facts and marks` to"
    )?;
    writeln!(out, "`scan with marks`, for `pagemap and kpageflags` to `scan with folios`.\n")?;
    table(&mut out, &rows, Times::ratio)?;
    vmas::table(&mut out)?;
    command::table(&mut out)?;
    Ok(())
}

fn table(
    out: &mut impl Write,
    rows: &[(&str, Times)],
    cell: impl Fn(&Times, usize) -> String,
) -> io::Result<()> {
    let names: Vec<&str> = readers::ALL.iter().map(|reader| reader.name).collect();
    writeln!(out, "| area | {} |", names.join(" | "))?;
    writeln!(out, "|---|{}", "---|".repeat(names.len()))?;
    for (name, times) in rows {
        let cells: Vec<String> = (0..names.len()).map(|reader| cell(times, reader)).collect();
        writeln!(out, "| {name} | {} |", cells.join(" | "))?;
    }
    Ok(())
}
