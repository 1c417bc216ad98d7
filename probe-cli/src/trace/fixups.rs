//! What older formats say differently, as data.

use serde_json::Value;

/// A field that an older format does not have.
struct Fixup {
    /// The last format without it.
    until: u32,
    /// In lines of this kind.
    kind: &'static str,
    /// The way to it: `[]` stands for each element of a list.
    path: &'static [&'static str],
    /// What its absence means.
    means: u64,
}

/// Every difference between older formats and this one.
const FIXUPS: &[Fixup] = &[
    // Until calls that the kernel does not show were counted.
    Fixup { until: 1, kind: "footer", path: &["missed"], means: 0 },
    Fixup { until: 1, kind: "footer", path: &["probes", "[]", "missed"], means: 0 },
    // All operations that were wanted were sent as records.
    Fixup { until: 1, kind: "footer", path: &["probes", "[]", "counted"], means: 0 },
];

/// Whether lines of this kind have to be changed.
pub(super) fn concern(format: u32, kind: &str) -> bool {
    FIXUPS.iter().any(|fixup| fixup.kind == kind && format <= fixup.until)
}

/// Makes a line of an older format one of this format.
pub(super) fn apply(format: u32, kind: &str, line: &mut Value) {
    for fixup in FIXUPS.iter().filter(|fixup| fixup.kind == kind && format <= fixup.until) {
        fill(line, fixup.path, fixup.means);
    }
}

fn fill(value: &mut Value, path: &[&str], means: u64) {
    match (path, value) {
        (["[]", rest @ ..], Value::Array(elements)) => {
            for element in elements {
                fill(element, rest, means);
            }
        }
        ([last], Value::Object(fields)) => {
            fields.entry(*last).or_insert_with(|| means.into());
        }
        ([first, rest @ ..], Value::Object(fields)) => {
            if let Some(field) = fields.get_mut(*first) {
                fill(field, rest, means);
            }
        }
        // A line that is damaged shows when it is read.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{apply, concern};

    #[test]
    fn what_is_absent_is_filled_in_and_what_is_there_stays() {
        let mut line = json!({"missed": 3, "probes": [{"name": "zap"}, {"counted": 7}]});
        apply(1, "footer", &mut line);
        assert_eq!(
            line,
            json!({"missed": 3, "probes": [
                {"name": "zap", "missed": 0, "counted": 0}, {"counted": 7, "missed": 0}]})
        );
        assert!(concern(1, "footer") && !concern(2, "footer") && !concern(1, "reading"));
        // Of damaged lines nothing is made.
        apply(1, "footer", &mut json!([1, 2]));
    }
}
