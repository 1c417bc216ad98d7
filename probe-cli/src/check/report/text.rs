//! For people.

use std::fmt::Write as _;

use super::{Report, percent, table};
use crate::{
    bench::results::Clock,
    check::{compare::Comparison, finding::Finding, identity::Identity},
};

pub(super) fn write(report: &Report) -> String {
    let mut out = String::new();
    line(&mut out, &format!("baseline  {}", told(&report.baseline)));
    for comparison in &report.comparisons {
        line(&mut out, "");
        of(comparison, &mut out);
    }
    if report.comparisons.len() > 1 {
        line(&mut out, "");
        let rows: Vec<Vec<String>> =
            [table::heading(report)].into_iter().chain(table::rows(report)).collect();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0)
        };
        for row in &rows {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = width(column);
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            line(&mut out, cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        line(&mut out, "\n(in parentheses: within the threshold, or not beyond chance)");
    }
    out
}

fn of(comparison: &Comparison, out: &mut String) {
    line(out, &format!("compared  {}", told(&comparison.after)));
    for found in &comparison.findings {
        finding(found, out);
    }
    for reason in &comparison.reasons {
        line(out, &format!("inconclusive: {reason}"));
    }
    for note in &comparison.notes {
        line(out, &format!("note: {note}"));
    }
    line(out, &comparison.summary());
}

fn finding(found: &Finding, out: &mut String) {
    line(out, &format!("{}: {}", found.verdict.name(), found.id));
    line(out, &format!("  before     {}", found.before));
    line(out, &format!("  after      {}", found.after));
    if let Some(interval) = found.interval {
        line(
            out,
            &format!(
                "  change     {}, from {} to {}",
                percent(interval.ratio),
                percent(interval.low),
                percent(interval.high)
            ),
        );
    }
    line(out, &format!("  rule       {}", found.rule));
    line(out, &format!("  see        {}", found.reproduce));
}

pub(super) fn told(identity: &Identity) -> String {
    let clock = match identity.clock {
        Clock::Time => "time",
        Clock::Instructions => "instructions",
    };
    format!(
        "{}: kernel {}, suite {}, {} runs, {clock}",
        identity.name, identity.kernel, identity.suite, identity.runs
    )
}

fn line(out: &mut String, text: &str) {
    // A String takes everything.
    let _ = writeln!(out, "{text}");
}
