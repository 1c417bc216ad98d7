//! The tables.

use std::io::{self, Write};

use super::{
    functions::Functions,
    samples::Samples,
    tools::{self, Counted, Tool, Whole},
};

/// The tools, without nothing.
const TOOLS: [Tool; 3] = [Tool::Walkprobe, Tool::Bpftrace, Tool::Graph];

/// What walkprobe is to add at most, in times of what bpftrace adds.
const RATIO: f64 = 0.5;
/// Until when it is to be attached, in seconds.
const ATTACHED: f64 = 0.3;
/// Its memory at most, in KiB.
const MEMORY: u64 = 20 << 10;

pub(crate) fn write(
    out: &mut impl Write,
    samples: &Samples,
    all: &Whole,
    functions: &Functions,
) -> io::Result<()> {
    added(out, samples)?;
    counted(out, samples)?;
    costs(out, samples, all)?;
    targets(out, samples, all)?;
    commands(out, functions)
}

fn added(out: &mut impl Write, samples: &Samples) -> io::Result<()> {
    writeln!(out, "\n## What timing adds to a call\n")?;
    let bare = samples.reads(Tool::Nothing).show(0);
    writeln!(out, "A reading takes {bare} ns with nothing attached.\n")?;
    writeln!(
        out,
        "| tool | a reading, ns | added to a call, ns | added to all, % | times as much walkprobe adds |"
    )?;
    writeln!(out, "|---|---|---|---|---|")?;
    for tool in TOOLS {
        let ratio = match tool {
            Tool::Walkprobe => "-".to_owned(),
            _ => samples.ratio(tool).show(2),
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {ratio} |",
            tool.name(),
            samples.reads(tool).show(0),
            samples.adds(tool).show(0),
            samples.percent(tool).show(1),
        )?;
    }
    Ok(())
}

fn counted(out: &mut impl Write, samples: &Samples) -> io::Result<()> {
    writeln!(out, "\n## Calls counted by calls made\n")?;
    writeln!(out, "Of each round, all batches together: generic, and hugetlb.\n")?;
    writeln!(out, "| tool | round | generic | hugetlb |\n|---|---|---|---|")?;
    for tool in TOOLS {
        for (round, (made, counted)) in (1..).zip(&samples.of(tool).counted) {
            let name = tool.name();
            match counted {
                Counted::Nothing => {}
                Counted::Both(calls) => writeln!(
                    out,
                    "| {name} | {round} | {} of {} | {} of {} |",
                    calls.generic, made.generic, calls.hugetlb, made.hugetlb
                )?,
                Counted::Sum(calls) => {
                    writeln!(out, "| {name} | {round} | {calls} of {}, both | |", made.sum())?;
                }
            }
        }
    }
    Ok(())
}

fn costs(out: &mut impl Write, samples: &Samples, all: &Whole) -> io::Result<()> {
    writeln!(out, "\n## Time to attach, and memory\n")?;
    writeln!(out, "| tool | functions | attached after, s | VmHWM, MiB |\n|---|---|---|---|")?;
    for tool in TOOLS {
        let memory = samples.of(tool).memory.map_or_else(|| "-".to_owned(), mib);
        let attached = samples.attached(tool).show(3);
        writeln!(out, "| {} | 2 | {attached} | {memory} |", tool.name())?;
    }
    writeln!(
        out,
        "| walkprobe walks, all walkers | {} | {:.3} | {} |",
        all.functions,
        all.attached.as_secs_f64(),
        mib(all.memory)
    )
}

#[expect(clippy::cast_precision_loss, reason = "a size in KiB")]
fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

fn targets(out: &mut impl Write, samples: &Samples, all: &Whole) -> io::Result<()> {
    writeln!(out, "\n## Targets\n")?;
    let ratio = samples.ratio(Tool::Bpftrace).median;
    let attached = samples.attached(Tool::Walkprobe).median;
    let memory = samples.of(Tool::Walkprobe).memory.unwrap_or(0);
    let whole = all.attached.as_secs_f64();
    let exact = samples
        .of(Tool::Walkprobe)
        .counted
        .iter()
        .all(|(made, counted)| matches!(counted, Counted::Both(calls) if calls == made));
    for (target, is_met, found) in [
        ("at most half of what bpftrace adds", ratio <= RATIO, format!("{ratio:.2} times")),
        ("smaps attached within 0.3 s", attached < ATTACHED, format!("{attached:.3} s")),
        ("all walkers attached within 0.3 s", whole < ATTACHED, format!("{whole:.3} s")),
        ("less than 20 MiB, smaps", memory < MEMORY, format!("{} MiB", mib(memory))),
        ("less than 20 MiB, all walkers", all.memory < MEMORY, format!("{} MiB", mib(all.memory))),
        ("every call counted", exact, if exact { "exact" } else { "not exact" }.to_owned()),
    ] {
        let verdict = if is_met { "met" } else { "missed" };
        writeln!(out, "* {target}: {verdict} ({found}).")?;
    }
    Ok(())
}

fn commands(out: &mut impl Write, functions: &Functions) -> io::Result<()> {
    let script = tools::script(functions).replace('\n', "\n    ");
    writeln!(out, "\n## The commands\n\n    walkprobe {}", tools::WALKS.join(" "))?;
    writeln!(out, "\nbpftrace -f json:\n\n    {script}")?;
    let names: Vec<&str> = functions.all.iter().map(|(_, name)| name.as_str()).collect();
    writeln!(out, "\nfunction_graph, in /sys/kernel/tracing:\n")?;
    writeln!(out, "    echo {} > set_ftrace_filter", names.join(" "))?;
    writeln!(out, "    echo function_graph > current_tracer")
}
