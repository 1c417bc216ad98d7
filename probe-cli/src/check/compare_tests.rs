use super::{Named, compare};
use crate::{
    bench::results::{
        Case, Clock, Counts, Kernel, LeafBytes, Leaves, Machine, Results, Row, Run, Served,
        Service, Settings,
    },
    check::{Verdict, rules::Rules},
    event::Path,
    model::leaf::{LeafKind, LeafSize},
    walk::{
        site::Level,
        totals::{Calibration, Uncounted},
    },
};

/// Results of a suite with one walker, whose calls on both paths take these times.
pub(crate) fn results(times: &[u64]) -> Results {
    let run = |&ns: &u64| Run {
        calibration: Calibration::default(),
        uncounted: Uncounted::default(),
        cases: ["thp", "hugetlb-2m"].map(|space| case(space, ns)).into(),
        leaves: vec![Leaves {
            space: "thp".to_owned(),
            unknown: None,
            bytes: vec![LeafBytes { size: LeafSize::PMD, kind: LeafKind::Present, bytes: 8 << 20 }],
        }],
    };
    let served = |function: &str| Served {
        service: "watched".to_owned(),
        functions: vec![function.to_owned()],
    };
    Results {
        bench: crate::bench::results::VERSION,
        walkprobe: "0.1.0".to_owned(),
        suite: "quick".to_owned(),
        settings: Settings { rounds: 3, samples: 2, warm_up: 1, blocks: 4 },
        clock: Clock::Instructions,
        kernel: Kernel {
            release: "7.2.13".to_owned(),
            version: "#1 SMP".to_owned(),
            machine: "x86_64".to_owned(),
        },
        machine: Machine { processor: "one".to_owned(), processors: 1, memory: 2 << 30 },
        services: vec![Service {
            walker: "smaps".to_owned(),
            generic: served("smaps_pte_range"),
            hugetlb: served("smaps_hugetlb_range"),
        }],
        runs: times.iter().map(run).collect(),
    }
}

fn case(space: &str, ns: u64) -> Case {
    let path = if space == "thp" { Path::Generic } else { Path::Hugetlb };
    let counts = Counts { calls: 12, leaves: 12, bytes: 24 << 20, ns };
    let row = Row {
        walker: "smaps".to_owned(),
        path: Some(path),
        level: Level::Pmd,
        own: 0.0,
        samples: vec![counts; 2],
        durations: vec![(99.5, 20), (210.0, 4)],
    };
    Case {
        space: space.to_owned(),
        walker: "smaps".to_owned(),
        skipped: None,
        loops: vec![2 * ns; 2],
        rows: vec![row],
    }
}

pub(crate) fn named(name: &str, results: Results) -> Named {
    Named { name: name.to_owned(), results }
}

fn found(before: Results, after: Results, rules: &Rules) -> (Verdict, Vec<(String, Verdict)>) {
    let comparison = compare(&named("a", before), &named("b", after), rules).unwrap();
    let findings = comparison.findings.into_iter();
    (comparison.verdict, findings.map(|finding| (finding.id, finding.verdict)).collect())
}

const QUIET: [u64; 3] = [10_000, 10_001, 10_002];

fn one(finding: &str, verdict: Verdict) -> Vec<(String, Verdict)> {
    vec![(finding.to_owned(), verdict)]
}

#[test]
fn the_same_is_no_regression() {
    let same = || results(&QUIET);
    assert_eq!(found(same(), same(), &Rules::default()), (Verdict::Pass, Vec::new()));
}

#[test]
fn a_slower_path_is_found_and_no_other() {
    let mut after = results(&QUIET);
    for run in &mut after.runs {
        run.cases[1].rows[0].samples.iter_mut().for_each(|sample| sample.ns += 100);
    }
    let id = "time:hugetlb-2m/smaps/hugetlb/pmd";
    let rules = Rules::default();
    let slower = found(results(&QUIET), after.clone(), &rules);
    assert_eq!(slower, (Verdict::Regression, one(id, Verdict::Regression)));
    let faster = found(after.clone(), results(&QUIET), &rules);
    assert_eq!(faster, (Verdict::Pass, one(id, Verdict::Improvement)));

    let wide = Rules::read("[threshold.walker.smaps]\ninstructions = 2").unwrap();
    assert_eq!(found(results(&QUIET), after.clone(), &wide), (Verdict::Pass, Vec::new()));
    let known = format!("[[accepted]]\nfinding = \"{id}\"\nreason = \"known\"\nup_to = 1.02");
    let known = found(results(&QUIET), after.clone(), &Rules::read(&known).unwrap());
    assert_eq!(known, (Verdict::Pass, one(id, Verdict::Accepted)));

    // How much memory a kernel keeps for itself is its own affair.
    after.machine.memory -= 1 << 20;
    assert_eq!(found(results(&QUIET), after.clone(), &rules).0, Verdict::Regression);
    // Of another machine nothing is said about times.
    after.machine.memory *= 2;
    let elsewhere = found(results(&QUIET), after, &rules);
    assert_eq!(elsewhere, (Verdict::Inconclusive, one(id, Verdict::Inconclusive)));
}

#[test]
fn other_calls_are_found_even_on_another_machine() {
    let mut after = results(&QUIET);
    after.machine.memory *= 2;
    for run in &mut after.runs {
        run.cases[0].rows[0].samples.iter_mut().for_each(|sample| sample.leaves += 1);
    }
    let id = "counts:thp/smaps/generic/pmd";
    let rules = Rules::default();
    let other = found(results(&QUIET), after.clone(), &rules);
    assert_eq!(other, (Verdict::Regression, one(id, Verdict::Regression)));
    // Calls that were lost are no difference.
    after.runs[0].uncounted.missed = 1;
    let lost = found(results(&QUIET), after.clone(), &rules);
    assert_eq!(lost, (Verdict::Inconclusive, one(id, Verdict::Inconclusive)));
    // Nor are those of another amount of work.
    after.runs[0].uncounted.missed = 0;
    after.settings.rounds += 1;
    assert_eq!(found(results(&QUIET), after, &rules).0, Verdict::Inconclusive);
}

#[test]
fn another_path_function_or_map_is_found() {
    let mut after = results(&QUIET);
    after.services[0].hugetlb.functions = vec!["smaps_walk".to_owned()];
    after.runs.iter_mut().for_each(|run| run.leaves[0].bytes[0].bytes -= 2 << 20);
    let findings = ["service:smaps/hugetlb", "leaves:thp"];
    let findings = findings.map(|id| (id.to_owned(), Verdict::Regression)).to_vec();
    let moved = found(results(&QUIET), after, &Rules::default());
    assert_eq!(moved, (Verdict::Regression, findings));
}

#[test]
fn what_is_not_driven_any_more_is_found_once() {
    let mut after = results(&QUIET);
    for run in &mut after.runs {
        run.cases[0].rows.clear();
        run.cases[0].skipped = Some("no THP".to_owned());
    }
    let lost = found(results(&QUIET), after.clone(), &Rules::default());
    assert_eq!(lost, (Verdict::Regression, one("driven:thp/smaps", Verdict::Regression)));
    let new = found(after, results(&QUIET), &Rules::default());
    assert_eq!(new, (Verdict::Pass, one("driven:thp/smaps", Verdict::Improvement)));
}

#[test]
fn few_runs_are_inconclusive() {
    let (verdict, findings) = found(results(&QUIET), results(&QUIET[..2]), &Rules::default());
    assert_eq!((verdict, findings), (Verdict::Inconclusive, Vec::new()));
}

#[test]
fn limits_hold_without_a_change() {
    let same = || results(&QUIET);
    let limit =
        "[[limit]]\nwalker = \"smaps\"\npath = \"generic\"\nmax_ns_per_call = 800\nmax_calls = 12";
    let id = "limit:thp/smaps/generic/pmd:max_ns_per_call";
    let above = found(same(), same(), &Rules::read(limit).unwrap());
    assert_eq!(above, (Verdict::Regression, one(id, Verdict::Regression)));
    let of_nothing = Rules::read("[[limit]]\nwalker = \"smap\"\nmax_calls = 1").unwrap();
    assert_eq!(found(same(), same(), &of_nothing).0, Verdict::Inconclusive);
}

#[test]
fn modes_are_not_mixed() {
    let mut after = results(&QUIET);
    after.clock = Clock::Time;
    let rules = Rules::default();
    assert!(compare(&named("a", results(&QUIET)), &named("b", after), &rules).is_err());
}

#[test]
fn times_that_spread_are_told() {
    let spread = [9_000, 10_000, 11_000];
    let rules = Rules::default();
    let both = (named("a", results(&spread)), named("b", results(&spread)));
    let comparison = compare(&both.0, &both.1, &rules).unwrap();
    assert_eq!((comparison.verdict, comparison.blurred), (Verdict::Pass, 2));
    let both = (named("a", results(&QUIET)), named("b", results(&QUIET)));
    assert_eq!(compare(&both.0, &both.1, &rules).unwrap().blurred, 0);
}
