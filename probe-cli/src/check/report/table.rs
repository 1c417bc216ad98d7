//! A table over several kernels: how each place's time compares with the baseline.

use super::{Report, percent};
use crate::check::{compare::Timed, finding::Place};

/// The first column's heading, and one for each comparison.
pub(super) fn heading(report: &Report) -> Vec<String> {
    let kernels = report.comparisons.iter().map(|comparison| comparison.after.kernel.clone());
    ["time".to_owned()].into_iter().chain(kernels).collect()
}

/// A row for each place that any comparison has.
pub(super) fn rows(report: &Report) -> Vec<Vec<String>> {
    let all = report.comparisons.iter().flat_map(|comparison| &comparison.times);
    let mut places: Vec<&Place> = all.map(|timed| &timed.place).collect();
    places.sort_unstable();
    places.dedup();
    let row = |place: &Place| {
        let cells = report.comparisons.iter().map(|comparison| {
            let timed = comparison.times.iter().find(|timed| timed.place == *place);
            timed.map_or_else(|| "-".to_owned(), cell)
        });
        [place.to_string()].into_iter().chain(cells).collect()
    };
    places.into_iter().map(row).collect()
}

/// What is less than the threshold, or within what chance does, is in parentheses.
fn cell(timed: &Timed) -> String {
    let Some(found) = timed.interval else { return "?".to_owned() };
    let beyond = found.low > 1.0 + timed.threshold || found.high < 1.0 - timed.threshold;
    let text = percent(found.ratio);
    if beyond { text } else { format!("({text})") }
}
