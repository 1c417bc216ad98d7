//! What was recorded on eleven kernels, and documents that are made of it.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use serde_json::Value;
use walkprobe::kernel::facts::Facts;

/// What was recorded on one kernel by `cargo xtask report support`.
pub(crate) struct Recorded {
    pub(crate) series: String,
    pub(crate) facts: Facts,
    /// The candidate that was really attached, by probe.
    pub(crate) attached: BTreeMap<String, Value>,
}

/// All of them, oldest first.
pub(crate) fn recorded() -> Vec<Recorded> {
    let recorded = by_series("facts").into_iter().map(|(series, mut record)| Recorded {
        series,
        facts: serde_json::from_value(record["facts"].take()).unwrap(),
        attached: serde_json::from_value(record["attached"].take()).unwrap(),
    });
    recorded.collect()
}

/// The records in a folder beside this one, the oldest kernel first.
pub(crate) fn by_series(folder: &str) -> Vec<(String, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut all: Vec<(String, Value)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let record = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), record)
        })
        .collect();
    all.sort_by_key(|(series, _)| {
        series.split('.').map(|number| number.parse().unwrap()).collect::<Vec<u32>>()
    });
    all
}

/// Fails when a document in docs/ is not this text; writes it where `UPDATE_DOCS` is set.
pub(crate) fn is_up_to_date(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(committed == text, "docs/{name} is old: run `cargo xtask report support`");
}
