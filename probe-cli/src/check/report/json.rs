//! For programs.

use super::Report;

pub(super) fn write(report: &Report) -> String {
    // Numbers, texts and lists: nothing that JSON has no form for.
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}
