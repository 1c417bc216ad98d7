//! A report of walkers as a table, and as comma-separated values.

use std::{
    fmt::{self, Write},
    io,
};

use serde::Serialize;

use super::{
    report::{Party, Report, RowReport, WalkerReport},
    totals::{Calibration, Uncounted},
};
use crate::{event::Path, plan::walks::Served, text::plain, units};

/// How many processes stand in the table for each walker.
const PARTIES: usize = 3;

/// Writes the table.
///
/// # Errors
/// The writer's own.
pub fn write(report: &Report, out: &mut impl Write) -> fmt::Result {
    writeln!(out, "{}, {:.1} s; {}", report.kernel, report.seconds, own(report.calibration))?;
    writeln!(
        out,
        "{:<16} {:<8} {:<4} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}  GENERIC/HUGETLB",
        "WALKER", "PATH", "LEAF", "CALLS", "CALLS/S", "LEAVES/S", "P50", "P99", "LEAF", "MIB"
    )?;
    let mut called: Vec<&WalkerReport> =
        report.walkers.iter().filter(|walker| !walker.rows.is_empty()).collect();
    called
        .sort_by_key(|walker| std::cmp::Reverse(walker.rows.iter().map(|row| row.ns).sum::<u64>()));
    for walker in &called {
        write_walker(walker, out)?;
    }
    if called.is_empty() {
        writeln!(out, "no walker was called")?;
    }
    let idle = |walker: &&WalkerReport| walker.rows.is_empty() && is_watched(walker);
    let idle: Vec<_> = report.walkers.iter().filter(idle).map(|walker| walker.name).collect();
    if !idle.is_empty() {
        writeln!(out, "\nno calls: {}", idle.join(", "))?;
    }
    let mut not_watched = report.walkers.iter().filter(|walker| !is_watched(walker)).peekable();
    if not_watched.peek().is_some() {
        writeln!(out, "\nnot watched:")?;
    }
    for walker in not_watched {
        writeln!(out, "  {:<16} {}", walker.name, walker.generic.text)?;
    }
    uncounted(report).iter().try_for_each(|sentence| writeln!(out, "\n{sentence}"))
}

/// What the programs take, in words.
pub(crate) fn own(calibration: Calibration) -> String {
    let each = [("fentry", calibration.fentry), ("kprobe", calibration.kprobe)];
    let known: Vec<_> =
        each.into_iter().filter_map(|(name, ns)| Some(format!("{name} {:.0}ns", ns?))).collect();
    if known.is_empty() {
        "what the probes themselves take is not known, and in all times".to_owned()
    } else {
        format!("what the probes themselves take of a call is taken off: {}", known.join(", "))
    }
}

fn is_watched(walker: &WalkerReport) -> bool {
    walker.generic.service != "missing" || walker.hugetlb.service == "watched"
}

fn write_walker(walker: &WalkerReport, out: &mut impl Write) -> fmt::Result {
    let mut name = walker.name;
    for row in &walker.rows {
        let ratio = walker
            .ratios
            .iter()
            .filter(|_| row.path == Some(Path::Hugetlb))
            .find(|ratio| ratio.level == row.level);
        let ratio = ratio.map_or_else(String::new, |found| match found.ratio.interval {
            Some((low, high)) => format!("  {:.2} ({low:.2} to {high:.2})", found.ratio.ratio),
            None => format!("  {:.2} (too few calls to be sure)", found.ratio.ratio),
        });
        write_row(name, row, &ratio, out)?;
        name = "";
    }
    if !walker.rows.iter().any(|row| row.path != Some(Path::Generic)) {
        let Served { service, text, .. } = &walker.hugetlb;
        if *service != "watched" {
            writeln!(out, "{:<16} hugetlb  {text}", "")?;
        }
    }
    writeln!(out, "{:<16} by {}; of {}", "", names(&walker.actors), names(&walker.targets))
}

fn write_row(name: &str, row: &RowReport, ratio: &str, out: &mut impl Write) -> fmt::Result {
    let path = match row.path {
        Some(Path::Generic) => "generic",
        Some(Path::Hugetlb) => "hugetlb",
        None => "untold",
    };
    let leaves = if row.leaves == 0 { "-".to_owned() } else { units::rate(row.leaves_per_second) };
    writeln!(
        out,
        "{name:<16} {path:<8} {:<4} {:>8} {:>8} {leaves:>8} {:>8} {:>8} {:>8} {:>8}{ratio}",
        row.level.name(),
        units::count(row.calls),
        units::rate(row.calls_per_second),
        time(Some(row.p50_ns)),
        time(Some(row.p99_ns)),
        time(row.ns_per_leaf),
        time(row.ns_per_mib),
    )
}

fn time(ns: Option<f64>) -> String {
    ns.map_or_else(|| "-".to_owned(), units::mean)
}

/// `cat (12)`
pub(crate) fn who(party: &Party) -> String {
    match (party.pid, party.name.as_str()) {
        (0, _) => "not told".to_owned(),
        (pid, "") => pid.to_string(),
        (pid, name) => format!("{} ({pid})", plain(name)),
    }
}

/// `cat (12) 90%, sh (1) 10%`
fn names(parties: &[Party]) -> String {
    let all: u64 = parties.iter().map(|party| party.ns).sum();
    let told = parties.iter().take(PARTIES).map(|party| {
        let part = u128::from(party.ns) * 100 / u128::from(all.max(1));
        format!("{} {part}%", who(party))
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() { "unknown".to_owned() } else { told.join(", ") }
}

/// A sentence for each kind of call that is not in the sums, or not in all of them.
pub(crate) fn uncounted(report: &Report) -> Vec<String> {
    let Uncounted { state, missed, parties } = report.uncounted;
    let lost = state + missed;
    let sums = format!("{lost} calls are in no sum: too many at once, or not shown by the kernel");
    let who = format!(
        "{parties} calls are not told by process: there are too many processes; -p chooses one"
    );
    [(lost, sums), (parties, who)]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(_, sentence)| sentence)
        .collect()
}

/// A line of the comma-separated values.
#[derive(Serialize)]
struct Line {
    walker: &'static str,
    path: &'static str,
    level: &'static str,
    service: &'static str,
    calls: u64,
    leaves: u64,
    bytes: u64,
    ns: u64,
    p50_ns: f64,
    p99_ns: f64,
    ns_per_leaf: Option<f64>,
    ns_per_mib: Option<f64>,
    ratio: Option<f64>,
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
}

/// Writes a line for each walker, path and level (RFC 4180); a path without calls has one without a level.
///
/// # Errors
/// The writer's own.
pub fn write_csv(report: &Report, out: impl io::Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    for line in report.walkers.iter().flat_map(lines) {
        csv.serialize(line).map_err(io::Error::other)?;
    }
    csv.flush()
}

fn lines(walker: &WalkerReport) -> Vec<Line> {
    let empty = |path, service| Line {
        walker: walker.name,
        path,
        level: "",
        service,
        calls: 0,
        leaves: 0,
        bytes: 0,
        ns: 0,
        p50_ns: 0.0,
        p99_ns: 0.0,
        ns_per_leaf: None,
        ns_per_mib: None,
        ratio: None,
        ratio_low: None,
        ratio_high: None,
    };
    let paths = [
        ("generic", Some(Path::Generic), walker.generic.service),
        ("hugetlb", Some(Path::Hugetlb), walker.hugetlb.service),
        ("untold", None, "untold"),
    ];
    let mut lines = Vec::new();
    for (name, path, service) in paths {
        let before = lines.len();
        for row in walker.rows.iter().filter(|row| row.path == path) {
            let ratio = walker
                .ratios
                .iter()
                .find(|ratio| path == Some(Path::Hugetlb) && ratio.level == row.level)
                .map(|found| found.ratio);
            let interval = ratio.and_then(|ratio| ratio.interval);
            lines.push(Line {
                level: row.level.name(),
                calls: row.calls,
                leaves: row.leaves,
                bytes: row.bytes,
                ns: row.ns,
                p50_ns: row.p50_ns,
                p99_ns: row.p99_ns,
                ns_per_leaf: row.ns_per_leaf,
                ns_per_mib: row.ns_per_mib,
                ratio: ratio.map(|ratio| ratio.ratio),
                ratio_low: interval.map(|(low, _)| low),
                ratio_high: interval.map(|(_, high)| high),
                ..empty(name, service)
            });
        }
        if lines.len() == before && path.is_some() {
            lines.push(empty(name, service));
        }
    }
    lines
}
