//! Annotations of GitHub's workflows.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use super::{Report, percent};
use crate::check::finding::{Finding, Verdict};

pub(super) fn write(report: &Report) -> String {
    let mut lines = Vec::new();
    for comparison in &report.comparisons {
        let kernel = &comparison.after.kernel;
        for found in &comparison.findings {
            let command = match found.verdict {
                Verdict::Regression => "error",
                Verdict::Inconclusive => "warning",
                Verdict::Pass | Verdict::Improvement | Verdict::Accepted => "notice",
            };
            let title = format!("{}: {}", found.verdict.name(), found.id);
            lines.push(annotation(command, &title, &message(found, kernel)));
        }
        for reason in &comparison.reasons {
            lines.push(annotation("warning", "inconclusive", &format!("{kernel}: {reason}")));
        }
        for note in &comparison.notes {
            lines.push(annotation("notice", "note", &format!("{kernel}: {note}")));
        }
        // A sentence without `::` at its beginning is a line of the log.
        lines.push(format!("{kernel}: {}", comparison.summary()));
    }
    lines.join("\n") + "\n"
}

fn message(found: &Finding, kernel: &str) -> String {
    let change = found.interval.map_or_else(String::new, |interval| {
        let (low, high) = (percent(interval.low), percent(interval.high));
        format!(", {} ({low} to {high})", percent(interval.ratio))
    });
    format!(
        "kernel {kernel}: {} -> {}{change}; {}\n{}",
        found.before, found.after, found.rule, found.reproduce
    )
}

fn annotation(command: &str, title: &str, message: &str) -> String {
    let of_message =
        |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let of_property = |text: &str| of_message(text).replace(':', "%3A").replace(',', "%2C");
    format!("::{command} title={}::{}", of_property(title), of_message(message))
}
