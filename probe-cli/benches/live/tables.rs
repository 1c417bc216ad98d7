//! The tables.

use std::io::{self, Write};

use super::{
    functions::Functions,
    operations,
    samples::{Samples, count},
    watchers::{self, Counters},
};

/// Places in [`watchers::ALL`].
const BARE: usize = 0;
const WALKPROBE: usize = 1;
const BY_NAME: usize = 2;
const TOGETHER: usize = 3;

const WATCHERS: [(&str, usize); 3] = [
    ("walkprobe", WALKPROBE),
    ("bpftrace, by function", BY_NAME),
    ("bpftrace, one number", TOGETHER),
];

/// The most that walkprobe is to add, in times of what counting adds.
const TARGET: f64 = 2.0;

/// The whole batch, behind all kinds of operation.
const WHOLE: usize = operations::ALL.len();

pub(crate) fn write(
    out: &mut impl Write,
    samples: &Samples,
    functions: &Functions,
) -> io::Result<()> {
    added(out, samples)?;
    compared(out, samples)?;
    own(out, samples)?;
    commands(out, functions)
}

fn added(out: &mut impl Write, samples: &Samples) -> io::Result<()> {
    writeln!(out, "\n## What watching adds to an operation\n")?;
    let names = WATCHERS.map(|(name, _)| format!("{name}: ns | %"));
    writeln!(out, "| operation | in a batch | ns with nothing attached | {} |", names.join(" | "))?;
    writeln!(out, "|---|---|---|{}", "---|---|".repeat(WATCHERS.len()))?;
    for (kind, name, number) in kinds() {
        let cells = WATCHERS.map(|(_, setting)| {
            let (ns, percent) = (samples.adds(setting, kind), samples.percent(setting, kind));
            format!("{} | {}", ns.show(0), percent.show(1))
        });
        let bare = samples.takes(BARE, kind).show(0);
        writeln!(out, "| {name} | {number} | {bare} | {} |", cells.join(" | "))?;
    }
    Ok(())
}

fn compared(out: &mut impl Write, samples: &Samples) -> io::Result<()> {
    writeln!(out, "\n## How many times as much walkprobe adds\n")?;
    writeln!(out, "| operation | as bpftrace, by function | as bpftrace, one number |")?;
    writeln!(out, "|---|---|---|")?;
    for (kind, name, _) in kinds() {
        let [by_name, together] =
            [BY_NAME, TOGETHER].map(|to| samples.ratio(WALKPROBE, to, kind).show(2));
        writeln!(out, "| {name} | {by_name} | {together} |")?;
    }
    for (name, to) in &WATCHERS[1..] {
        let ratio = |kind| samples.ratio(WALKPROBE, *to, kind).median;
        let kinds_met = (0..WHOLE).filter(|kind| ratio(*kind) <= TARGET).count();
        writeln!(
            out,
            "\nThe target, at most {TARGET} times what `{name}` adds, is {} for the whole batch ({:.2}), and met for \
             {kinds_met} of {WHOLE} kinds.",
            if ratio(WHOLE) <= TARGET { "met" } else { "missed" },
            ratio(WHOLE),
        )?;
    }
    Ok(())
}

fn own(out: &mut impl Write, samples: &Samples) -> io::Result<()> {
    writeln!(out, "\n## What the watcher itself takes\n")?;
    writeln!(out, "Its CPU time while a batch runs, its eBPF programs not included.\n")?;
    writeln!(out, "| watcher | ms for a batch | in % of the batch with nothing attached |")?;
    writeln!(out, "|---|---|---|")?;
    let bare = samples.takes(BARE, WHOLE).median;
    for (name, setting) in WATCHERS {
        let ns = samples.watcher(setting).median;
        writeln!(out, "| {name} | {:.2} | {:.1} |", ns / 1e6, ns / bare * 100.0)?;
    }
    Ok(())
}

fn commands(out: &mut impl Write, functions: &Functions) -> io::Result<()> {
    writeln!(out, "\n## The commands\n")?;
    writeln!(out, "    walkprobe {} PID", watchers::WATCH.join(" "))?;
    for counters in [Counters::ByName, Counters::Together] {
        let script = watchers::script(functions, counters).replace('\n', "\n    ");
        writeln!(out, "\nbpftrace:\n\n    {script}")?;
    }
    Ok(())
}

/// All kinds, and at last the whole batch.
fn kinds() -> impl Iterator<Item = (usize, &'static str, f64)> {
    let each = operations::ALL.iter().enumerate();
    each.map(|(kind, operation)| (kind, operation.name, count(operation.count))).chain([(
        WHOLE,
        "all, a batch",
        1.0,
    )])
}
