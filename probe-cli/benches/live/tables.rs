//! The tables.

use std::io::{self, Write};

use super::{
    functions::Functions,
    operations,
    samples::{Samples, count},
    watchers,
};

const BARE: usize = 0;
const WALKPROBE: usize = 1;
const BPFTRACE: usize = 2;

/// The most that walkprobe is to add, in times of what counting adds.
const TARGET: f64 = 2.0;

pub(crate) fn write(
    out: &mut impl Write,
    samples: &Samples,
    functions: &Functions,
) -> io::Result<()> {
    writeln!(out, "\n## What watching adds to an operation\n")?;
    writeln!(
        out,
        "| operation | in a batch | ns with nothing attached | walkprobe adds ns | walkprobe adds % | bpftrace adds ns | bpftrace adds % | walkprobe's ns / bpftrace's |\n|---|---|---|---|---|---|---|---|"
    )?;
    for (kind, name, number) in kinds() {
        writeln!(
            out,
            "| {name} | {number} | {} | {} | {} | {} | {} | {} |",
            samples.takes(BARE, kind).show(0),
            samples.adds(WALKPROBE, kind).show(0),
            samples.percent(WALKPROBE, kind).show(1),
            samples.adds(BPFTRACE, kind).show(0),
            samples.percent(BPFTRACE, kind).show(1),
            samples.ratio(WALKPROBE, BPFTRACE, kind).show(2),
        )?;
    }
    let whole = samples.ratio(WALKPROBE, BPFTRACE, operations::ALL.len()).median;
    let kinds_met = (0..operations::ALL.len())
        .filter(|kind| samples.ratio(WALKPROBE, BPFTRACE, *kind).median <= TARGET)
        .count();
    writeln!(
        out,
        "\nThe target, at most {TARGET} times what bpftrace adds, is {} for the whole batch ({whole:.2}), and met for {kinds_met} of {} kinds.",
        if whole <= TARGET { "met" } else { "missed" },
        operations::ALL.len(),
    )?;
    writeln!(out, "\n## What the watcher itself takes\n")?;
    writeln!(out, "Its CPU time while a batch runs, its eBPF programs not included.\n")?;
    writeln!(out, "| watcher | ms for a batch | in % of the batch with nothing attached |\n|---|---|---|")?;
    let bare = samples.takes(BARE, operations::ALL.len()).median;
    for (name, setting) in [("walkprobe", WALKPROBE), ("bpftrace", BPFTRACE)] {
        let ns = samples.watcher(setting).median;
        writeln!(out, "| {name} | {:.2} | {:.1} |", ns / 1e6, ns / bare * 100.0)?;
    }
    writeln!(out, "\n## The commands\n")?;
    writeln!(out, "    walkprobe {} PID\n", watchers::WATCH.join(" "))?;
    writeln!(out, "    bpftrace -e '{}'", watchers::script(functions))
}

/// All kinds, and at last the whole batch.
fn kinds() -> impl Iterator<Item = (usize, &'static str, f64)> {
    let whole = (operations::ALL.len(), "all, a batch", 1.0);
    let each = operations::ALL.iter().enumerate();
    each.map(|(kind, operation)| (kind, operation.name, count(operation.count))).chain([whole])
}
