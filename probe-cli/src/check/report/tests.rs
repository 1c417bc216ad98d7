use std::path::Path;

use super::{Format, Report};
use crate::{
    bench::results::Results,
    check::{
        compare::{
            compare,
            tests::{named, results},
        },
        identity::{Identity, clean},
        rules::Rules,
    },
};

const QUIET: [u64; 3] = [10_000, 10_001, 10_002];

/// One slower, one with other calls, one accepted; names that would do harm.
fn report(kernels: usize) -> Report {
    let slower = |kernel: &str| {
        let mut after = results(&QUIET);
        kernel.clone_into(&mut after.kernel.release);
        for run in &mut after.runs {
            run.cases[1].rows[0].samples.iter_mut().for_each(|sample| sample.ns += 100);
            run.cases[0].rows[0].samples.iter_mut().for_each(|sample| sample.calls += 1);
        }
        after.services[0].hugetlb.functions = vec!["::error::|<b>%\u{1b}[2J\n".to_owned()];
        clean(&mut after);
        after
    };
    let rules = "[[accepted]]\nfinding = \"service:smaps/hugetlb\"\nreason = \"renamed\"";
    let rules = Rules::read(rules).unwrap();
    let before = named("before.json", results(&QUIET));
    let compared = |kernel: &str, results: Results| {
        compare(&before, &named(&format!("{kernel}.json"), results), &rules).unwrap()
    };
    let all = ["7.3-rc1", "7.3-rc2"].iter().take(kernels);
    let comparisons = all.map(|kernel| compared(kernel, slower(kernel))).collect();
    Report::new(Identity::of("before.json", &before.results), comparisons)
}

#[test]
fn text_is_for_people() {
    insta::assert_snapshot!(report(2).write(Format::Text));
}

#[test]
fn markdown_has_a_table_over_kernels() {
    insta::assert_snapshot!(report(2).write(Format::Markdown));
}

#[test]
fn annotations_are_lines_of_their_own() {
    let text = report(1).write(Format::Github);
    assert_eq!(text.lines().filter(|line| line.starts_with("::error")).count(), 2, "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn failures_are_failures() {
    let text = report(1).write(Format::Junit);
    let document = roxmltree::Document::parse(&text).unwrap();
    let failed = document.descendants().filter(|node| node.has_tag_name("failure")).count();
    assert_eq!(failed, 2, "{text}");
    insta::assert_snapshot!(
        text.lines().filter(|line| !line.contains("uuid")).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn json_has_everything() {
    let report = report(1);
    let value: serde_json::Value = serde_json::from_str(&report.write(Format::Json)).unwrap();
    assert_eq!(value["verdict"], "regression");
    let comparison = &value["comparisons"][0];
    assert_eq!(comparison["findings"].as_array().map(Vec::len), Some(3));
    assert_eq!(comparison["findings"][0]["place"]["path"], "generic");
    assert!(comparison["times"][0]["interval"]["low"].is_number(), "{comparison}");
}

#[test]
fn the_ending_tells_the_form() {
    assert_eq!(Format::of(Path::new("a.xml")), Ok(Format::Junit));
    assert!(Format::of(Path::new("a")).is_err());
}
