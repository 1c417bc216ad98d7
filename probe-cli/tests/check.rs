//! `walkprobe check`, from files: what it finds, what it refuses, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/baseline/quick.json");

/// Runs it; gives its exit status, standard output, and standard error.
fn check(words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walkprobe"));
    let output = command.arg("check").args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn baseline() -> Value {
    serde_json::from_str(&fs::read_to_string(BASELINE).unwrap()).unwrap()
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The baseline with the calls of a walker over THPs slower, in all samples, by a part of 100.
fn slower(folder: &Path, walker: &str, percent: u64) -> PathBuf {
    let mut results = baseline();
    for run in results["runs"].as_array_mut().unwrap() {
        let cases = run["cases"].as_array_mut().unwrap();
        for case in
            cases.iter_mut().filter(|case| case["space"] == "thp" && case["walker"] == walker)
        {
            let rows = case["rows"].as_array_mut().unwrap().iter_mut();
            for row in rows.filter(|row| row["level"] == "pmd") {
                let own = row["own"].as_f64().unwrap();
                for sample in row["samples"].as_array_mut().unwrap() {
                    let (calls, ns) =
                        (sample["calls"].as_u64().unwrap(), sample["ns"].as_u64().unwrap());
                    #[expect(
                        clippy::cast_precision_loss,
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "ns of a sample"
                    )]
                    let net = ns - (own * calls as f64) as u64;
                    sample["ns"] = (ns + net * percent / 100).into();
                }
            }
        }
    }
    file(folder, "slower.json", &results.to_string())
}

#[test]
fn the_same_passes_and_slower_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (status, text, _) = check(&["--baseline", BASELINE, BASELINE]);
    assert_eq!(status, Some(0), "{text}");
    let slower = slower(folder.path(), "pagemap", 1);
    let slower = slower.to_str().unwrap();
    let (status, text, _) = check(&["--baseline", BASELINE, slower]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("regression: time:thp/pagemap/generic/pmd"), "{text}");
    assert_eq!(text.matches("regression: time:").count(), 1, "{text}");

    // What accepts it, and what limits it.
    let rules = |text: &str| file(folder.path(), "rules.toml", text).display().to_string();
    let accepted =
        rules("[[accepted]]\nfinding = \"time:thp/pagemap/generic/pmd\"\nreason = \"known\"");
    let (status, text, _) = check(&["--baseline", BASELINE, slower, "--rules", &accepted]);
    assert_eq!(status, Some(0), "{text}");
    let limit = rules("[[limit]]\nwalker = \"smaps\"\nmax_calls = 1");
    let (status, text, _) = check(&["--baseline", BASELINE, BASELINE, "--rules", &limit]);
    assert_eq!(status, Some(1), "{text}");

    let (status, text, _) = check(&["explain", "time:thp/pagemap/generic/pmd", BASELINE, slower]);
    assert!(status == Some(0) && text.contains("Calls by duration"), "{text}");
}

#[test]
fn reports_are_files_in_the_form_of_their_ending() {
    let folder = tempfile::tempdir().unwrap();
    let slower = slower(folder.path(), "smaps", 3);
    let reports = ["r.txt", "r.json", "r.md", "r.xml"].map(|name| folder.path().join(name));
    let mut words = vec!["--baseline", BASELINE, slower.to_str().unwrap(), "--format", "github"];
    for report in &reports {
        words.extend(["--report", report.to_str().unwrap()]);
    }
    let (status, text, _) = check(&words);
    assert_eq!(status, Some(1), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("::error ")).count(), 1, "{text}");
    for report in &reports {
        let text = fs::read_to_string(report).unwrap();
        assert!(text.contains("time:thp/smaps/generic/pmd"), "{}: {text}", report.display());
    }
}

#[test]
fn what_is_measured_elsewhere_cannot_be_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = baseline();
    other["machine"]["processor"] = "another".into();
    let other = file(folder.path(), "other.json", &other.to_string());
    let (status, text, _) = check(&["--baseline", BASELINE, other.to_str().unwrap()]);
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("inconclusive: another machine"), "{text}");
}

#[test]
fn what_is_no_measurement_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let older = file(folder.path(), "older.json", r#"{"bench": 1}"#).display().to_string();
    let hostile = "{\"bench\": \"\u{1b}[2J\"}";
    let hostile = file(folder.path(), "hostile.json", hostile).display().to_string();
    let cut = fs::read_to_string(BASELINE).unwrap();
    let cut = file(folder.path(), "cut.json", &cut[..cut.len() / 2]).display().to_string();
    let rules = file(folder.path(), "rules.toml", "thresholds = 1").display().to_string();
    for (words, why) in [
        (vec!["--baseline", BASELINE, "/no/file"], "cannot read /no/file"),
        (vec!["--baseline", BASELINE, &older], "version 1 of the format"),
        (vec!["--baseline", BASELINE, &hostile], "it is no file of `walkprobe bench`"),
        (vec!["--baseline", &cut, BASELINE], "it is no file of `walkprobe bench`"),
        (vec!["--baseline", BASELINE, "/dev/zero"], "it is larger than any file"),
        (vec!["--baseline", BASELINE, BASELINE, "--rules", &rules], "unknown field"),
        (vec!["--baseline", BASELINE], "nothing to compare"),
        (vec![BASELINE], "--baseline FILE is wanted"),
        (vec!["--baseline", BASELINE, BASELINE, "--report", "r.pdf"], ".xml"),
        (vec!["--baseline", BASELINE, BASELINE, "--report", "/no/r.md"], "cannot write /no/r.md"),
        (vec!["explain", "time:no/such/thing/pmd", BASELINE, BASELINE], "no such finding"),
    ] {
        let (status, _, said) = check(&words);
        assert_eq!(status, Some(2), "{words:?}: {said}");
        assert!(said.contains(why), "{words:?}: {said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn a_baseline_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json");
    let kept = kept.to_str().unwrap();
    let (status, _, said) = check(&[BASELINE, "--save-baseline", kept]);
    assert_eq!(status, Some(0), "{said}");
    let (status, text, _) = check(&["--baseline", kept, BASELINE]);
    assert_eq!(status, Some(0), "{text}");
}
