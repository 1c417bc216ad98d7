//! A report of made-up calls on a recorded kernel.

use super::{fixture::report, report::Report, site::Level, text};
use crate::event::Path;

fn table(report: &Report) -> String {
    let mut table = String::new();
    text::write(report, &mut table).unwrap();
    table
}

#[test]
fn the_table_has_both_paths_and_who_walks() {
    insta::assert_snapshot!(table(&report(false)));
}

#[test]
fn a_path_that_is_unified_says_so_in_the_place_of_zeroes() {
    let table = table(&report(true));
    assert!(table.contains("hugetlb  unified: served by the generic smaps_pte_range"), "{table}");
}

#[test]
fn csv_has_a_line_for_each_walker_path_and_level() {
    let mut csv = Vec::new();
    text::write_csv(&report(false), &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let lines = csv.lines().filter(|line| {
        ["walker", "smaps", "protect", "gup_fast", "memcg_move", "clear_refs"]
            .iter()
            .any(|name| line.starts_with(&format!("{name},")))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_the_probes_take_is_off_all_times_but_the_sum() {
    let report = report(false);
    let smaps = &report.walkers[0];
    let pmd =
        smaps.rows.iter().find(|row| row.level == Level::Pmd && row.path == Some(Path::Generic));
    let pmd = pmd.unwrap();
    assert_eq!(pmd.ns, 320_000);
    assert!((pmd.ns_per_leaf.unwrap() - 700.0).abs() < 1e-9);
    // (800 - 100) / (600 - 100)
    assert!((smaps.ratios[0].ratio.ratio - 1.4).abs() < 1e-9);
    assert!(smaps.ratios[0].ratio.interval.is_some());
}

#[test]
fn rates_are_those_since_the_report_before() {
    let before = report(false);
    let mut now = report(false);
    now.seconds += 4.0;
    let smaps = &mut now.walkers[0];
    smaps.rows[0].calls += 8;
    smaps.rows[0].leaves += 40;
    now.rates_since(&before);
    let rates = |report: &Report, row: usize| {
        (
            report.walkers[0].rows[row].calls_per_second,
            report.walkers[0].rows[row].leaves_per_second,
        )
    };
    assert_eq!((rates(&now, 0), rates(&now, 1)), ((2.0, 10.0), (0.0, 0.0)));
    // Counted anew: the rates are those since then.
    let mut anew = report(false);
    anew.rates_since(&now);
    assert_eq!(anew, before);
}
