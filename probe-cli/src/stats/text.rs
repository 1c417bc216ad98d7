//! What a trace comes to, in one screen of text.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::{CauseTotal, PlaceTotal, ProcessTotal, Summary};
use crate::{
    model::sizes::SizeClass,
    text::{Align, fit, plain},
    trace::header::Header,
    units,
};

/// Rows of a table: what does not fit on a screen is in `--json`.
const ROWS: usize = 12;

/// What names are cut to, in cells.
const NAME: usize = 32;

/// Writes everything.
///
/// # Errors
/// Only those of the formatter.
pub fn write(summary: &Summary, header: &Header, out: &mut impl fmt::Write) -> fmt::Result {
    beginning(summary, header, out)?;
    causes(&summary.causes, summary.duration, out)?;
    vmas(summary, out)?;
    processes(&summary.processes, out)
}

fn beginning(summary: &Summary, header: &Header, out: &mut impl fmt::Write) -> fmt::Result {
    let Header { tool, kernel, machine, command, .. } = header;
    writeln!(out, "recorded  by {}, Linux {} {}", plain(tool), plain(kernel), plain(machine))?;
    writeln!(out, "command   {}", plain(&command.join(" ")))?;
    let attached = header.probes.iter().filter(|probe| probe.by.is_some()).count();
    writeln!(out, "probes    {attached} of {}", header.probes.len())?;
    let &Summary { duration, events, readings, summaries, .. } = summary;
    writeln!(
        out,
        "length    {}: {events} events, {readings} readings, {summaries} summaries",
        units::duration(duration)
    )?;
    let losses = summary.losses;
    if losses.is_empty() {
        return writeln!(out, "losses    none");
    }
    writeln!(
        out,
        "losses    {} found no room in the ring buffer, {} came while too many were under way, {} calls were not shown; \
         {} noticed while maps were followed",
        losses.lost_ring, losses.lost_state, losses.missed, losses.noticed
    )
}

fn causes(causes: &[CauseTotal], duration: u64, out: &mut impl fmt::Write) -> fmt::Result {
    let heading = row(&[
        ("CAUSE", 16, Align::Left),
        ("EVENTS", 8, Align::Right),
        ("/s", 6, Align::Right),
        ("OPERATIONS", 10, Align::Right),
        ("LOST", 6, Align::Right),
        ("TIME", 7, Align::Right),
        ("LONGEST", 7, Align::Right),
        ("CHANGED", 7, Align::Right),
    ]);
    writeln!(out, "\n{heading} MOSTLY")?;
    for cause in causes.iter().take(ROWS) {
        let mostly = cause
            .largest()
            .map(|(change, bytes)| format!("{} {}", plain(change), units::bytes(bytes)));
        let cells = row(&[
            (cause.cause, 16, Align::Left),
            (&units::count(cause.events), 8, Align::Right),
            (&units::rate(per_second(cause.events, duration)), 6, Align::Right),
            (&units::count(cause.operations), 10, Align::Right),
            (&units::count(cause.lost), 6, Align::Right),
            (&units::duration(cause.time), 7, Align::Right),
            (&units::duration(cause.longest), 7, Align::Right),
            (&units::short_bytes(cause.changed), 7, Align::Right),
        ]);
        writeln!(out, "{}", format!("{cells} {}", mostly.unwrap_or_default()).trim_end())?;
    }
    more(causes.len(), out)
}

fn vmas(summary: &Summary, out: &mut impl fmt::Write) -> fmt::Result {
    if summary.processes.is_empty() {
        return writeln!(
            out,
            "\nBy VMA and by leaf size nothing is known: `walkprobe trace --maps` keeps leaf maps in the trace."
        );
    }
    let heading = row(&[
        ("PID", 7, Align::Right),
        ("START", 12, Align::Right),
        ("END", 12, Align::Right),
        ("VMA", NAME, Align::Left),
        ("EVENTS", 8, Align::Right),
        ("CHANGED", 7, Align::Right),
    ]);
    writeln!(out, "\n{heading}")?;
    for vma in summary.vmas.iter().take(ROWS) {
        let PlaceTotal { pid, start, end, name, events, changed } = vma;
        let cells = row(&[
            (&pid.to_string(), 7, Align::Right),
            (&format!("{:x}", start.0), 12, Align::Right),
            (&format!("{:x}", end.0), 12, Align::Right),
            (name, NAME, Align::Left),
            (&units::count(*events), 8, Align::Right),
            (&units::short_bytes(*changed), 7, Align::Right),
        ]);
        writeln!(out, "{cells}")?;
    }
    more(summary.vmas.len(), out)?;
    if summary.events_elsewhere > 0 {
        writeln!(out, "{} events in no VMA that is known", summary.events_elsewhere)?;
    }
    Ok(())
}

fn processes(processes: &[ProcessTotal], out: &mut impl fmt::Write) -> fmt::Result {
    if processes.is_empty() {
        return Ok(());
    }
    let mut heading = row(&[("PID", 7, Align::Right), ("COMM", 16, Align::Left)]);
    heading.push_str(" WHEN      ");
    for class in SizeClass::ALL {
        let _ = write!(heading, " {:>7}", class.title());
    }
    writeln!(out, "\n{heading}")?;
    for process in processes.iter().take(ROWS) {
        let ProcessTotal { pid, comm, first, last, has_ended } = process;
        let pid = pid.to_string();
        let when = if *has_ended { "before end" } else { "at the end" };
        for (who, when, sizes) in
            [([pid.as_str(), comm.as_str()], "at first", first), (["", ""], when, last)]
        {
            let cells = row(&[(who[0], 7, Align::Right), (who[1], 16, Align::Left)]);
            writeln!(out, "{cells} {when:<10}{}", by_size(sizes))?;
        }
    }
    more(processes.len(), out)
}

fn by_size(sizes: &BTreeMap<&str, u64>) -> String {
    let size = |class: SizeClass| sizes.get(class.title()).copied().map(units::short_bytes);
    let cell = |class| format!(" {:>7}", size(class).unwrap_or_default());
    SizeClass::ALL.into_iter().map(cell).collect()
}

fn more(rows: usize, out: &mut impl fmt::Write) -> fmt::Result {
    match rows.checked_sub(ROWS) {
        Some(more @ 1..) => writeln!(out, "and {more} more (--json has them)"),
        _ => Ok(()),
    }
}

fn row(cells: &[(&str, usize, Align)]) -> String {
    let fitted = cells.iter().map(|&(text, width, align)| fit(text, width, align));
    fitted.collect::<Vec<_>>().join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]
fn per_second(number: u64, ns: u64) -> f64 {
    if ns == 0 { 0.0 } else { number as f64 * 1e9 / ns as f64 }
}
