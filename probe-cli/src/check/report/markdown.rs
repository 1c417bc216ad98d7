//! For a comment on a change.

use super::{Report, percent, table, text::told};

pub(super) fn write(report: &Report) -> String {
    let mut lines = vec![
        format!("## walkprobe check: {}", report.verdict.name()),
        String::new(),
        format!("Baseline: {}", escaped(&told(&report.baseline))),
    ];
    for comparison in &report.comparisons {
        lines.extend([String::new(), format!("### {}", escaped(&told(&comparison.after)))]);
        lines.extend([String::new(), format!("{}.", comparison.summary())]);
        if !comparison.findings.is_empty() {
            lines.push(String::new());
            let heading = ["", "finding", "before", "after", "change", "rule"];
            lines.extend(head(&heading.map(str::to_owned)));
            for found in &comparison.findings {
                let change = found.interval.map_or_else(String::new, |interval| {
                    let (low, high) = (percent(interval.low), percent(interval.high));
                    format!("{} ({low} to {high})", percent(interval.ratio))
                });
                let cells = [
                    found.verdict.name().to_owned(),
                    format!("`{}`", found.id),
                    found.before.clone(),
                    found.after.clone(),
                    change,
                    found.rule.clone(),
                ];
                lines.push(row(&cells));
            }
        }
        let reasons = comparison.reasons.iter().map(|reason| ("Inconclusive", reason));
        let notes = comparison.notes.iter().map(|note| ("Note", note));
        let all: Vec<_> = reasons
            .chain(notes)
            .map(|(word, text)| format!("* {word}: {}", escaped(text)))
            .collect();
        if !all.is_empty() {
            lines.push(String::new());
            lines.extend(all);
        }
    }
    if report.comparisons.len() > 1 {
        lines.push(String::new());
        lines.extend(head(&table::heading(report)));
        lines.extend(table::rows(report).iter().map(|cells| row(cells)));
        lines.extend([
            String::new(),
            "In parentheses: within the threshold, or not beyond chance.".to_owned(),
        ]);
    }
    lines.join("\n") + "\n"
}

fn head(cells: &[String]) -> [String; 2] {
    [row(cells), format!("|{}", "---|".repeat(cells.len()))]
}

fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
    format!("| {} |", cells.join(" | "))
}

/// Names in a file of anybody's make no table, link or HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '[' | ']' | '*' | '\\' => out.extend(['\\', letter]),
            '\n' | '\r' => out.push(' '),
            _ => out.push(letter),
        }
    }
    out
}
