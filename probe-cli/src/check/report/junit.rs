//! For what shows tests: a suite for each comparison, a test for each time that was compared, and for each finding.

use std::collections::BTreeSet;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{Report, percent};
use crate::check::finding::{Finding, Verdict};

pub(super) fn write(report: &Report) -> String {
    let mut all = quick_junit::Report::new("walkprobe check");
    for comparison in &report.comparisons {
        let after = &comparison.after;
        let mut suite = TestSuite::new(format!("{} ({})", after.name, after.kernel));
        let found: BTreeSet<&str> =
            comparison.findings.iter().map(|found| found.id.as_str()).collect();
        for timed in &comparison.times {
            let id = format!("time:{}", timed.place);
            if !found.contains(id.as_str()) {
                suite.add_test_case(TestCase::new(id, TestCaseStatus::success()));
            }
        }
        for found in &comparison.findings {
            suite.add_test_case(TestCase::new(found.id.clone(), status(found)));
        }
        for reason in &comparison.reasons {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.clone());
            suite.add_test_case(TestCase::new("inconclusive", status));
        }
        all.add_test_suite(suite);
    }
    // Fails when a text is no XML: what was read is escaped.
    all.to_string().unwrap_or_default()
}

fn status(found: &Finding) -> TestCaseStatus {
    let mut status = match found.verdict {
        Verdict::Regression => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Inconclusive => TestCaseStatus::skipped(),
        Verdict::Pass | Verdict::Improvement | Verdict::Accepted => {
            return TestCaseStatus::success();
        }
    };
    let change =
        found.interval.map_or_else(String::new, |found| format!(" ({})", percent(found.ratio)));
    status.set_message(format!("{} -> {}{change}; {}", found.before, found.after, found.rule));
    status.set_description(found.reproduce.clone());
    status
}
