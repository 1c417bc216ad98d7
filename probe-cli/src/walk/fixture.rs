//! A report of made-up calls on a recorded kernel, for tests.

use probe_common::histogram::{BUCKETS, bucket};

use super::{
    histogram::Histogram,
    report::{Material, Party, Report},
    site::Level,
    totals::{Calibration, Pair, Row, Sample, Totals, Uncounted},
};
use crate::{
    event::Path,
    kernel::facts::Facts,
    plan::walks::{WalkPlan, plan},
    text::HOSTILE,
};

fn recorded() -> Facts {
    let path = format!("{}/tests/facts/7.2.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(record["facts"].take()).unwrap()
}

/// The number of a site, by a function that it has.
fn site(plan: &WalkPlan, function: &str) -> usize {
    let mut sites = plan.walkers.iter().flat_map(|walker| &walker.sites);
    sites.find(|site| site.site.functions.contains(&function)).unwrap().number
}

fn totals(calls: u64, entries: u64, bytes: u64, ns: u64) -> Totals {
    let mut buckets = vec![0; BUCKETS];
    // Two durations around the mean.
    for part in [ns / calls - 100, ns / calls + 100] {
        buckets[usize::try_from(bucket(part)).unwrap()] += calls / 2;
    }
    let mut durations = Histogram::default();
    durations.add(&buckets);
    Totals { calls, entries, bytes, ns, durations }
}

/// What the walkers did in two seconds; without the functions of hugetlb, or with them.
pub(crate) fn report(without_hugetlb: bool) -> Report {
    let mut facts = recorded();
    if without_hugetlb {
        facts.functions.retain(|name, _| !name.contains("hugetlb"));
    }
    let plan = plan(&facts);
    let row =
        |function, path, level, totals| Row { site: site(&plan, function), path, level, totals };
    let (generic, hugetlb) = (Some(Path::Generic), Some(Path::Hugetlb));
    let mut rows = vec![
        row("smaps_pte_range", generic, Level::Pte, totals(100, 51_200, 200 << 20, 1_100_000)),
        row("smaps_pte_range", generic, Level::Pmd, totals(400, 400, 800 << 20, 320_000)),
        row("gup_fast_fallback", None, Level::Any, totals(10, 0, 1 << 20, 20_000)),
        row("change_protection", generic, Level::Any, totals(4, 0, 4 << 20, 40_000)),
    ];
    if !without_hugetlb {
        let totals = totals(400, 400, 800 << 20, 240_000);
        rows.push(row("smaps_hugetlb_range", hugetlb, Level::Pmd, totals));
    }
    let pair = |function, actor, comm: &str, target, ns| Pair {
        site: site(&plan, function),
        actor,
        comm: comm.to_owned(),
        target,
        calls: 450,
        ns,
    };
    let pairs = vec![
        pair("smaps_pte_range", 7, "monitor\\x1b[2J", 12, 1_200_000),
        pair("smaps_pte_range", 8, "表計算", 0, 220_000),
        pair("change_protection", 12, "db", 12, 40_000),
    ];
    let uncounted = Uncounted { state: 1, missed: 2, parties: 3 };
    let sample = Sample { time: 0, rows, pairs, uncounted };
    let mut report = Report::new(&Material {
        kernel: "7.2.13-test",
        plan: &plan,
        sample: &sample,
        duration: 2_000_000_000,
        calibration: Calibration { fentry: Some(100.0), kprobe: None },
    });
    report.name(|pid| (pid == 12).then(|| "postgres".to_owned()));
    report
}

/// The same, walked by and of processes with names that try to break a table.
pub(crate) fn hostile() -> Report {
    let mut report = report(false);
    let smaps = &mut report.walkers[0];
    let one = smaps.actors[0].clone();
    let party = |(pid, name): (u32, &str)| Party { pid, name: name.to_owned(), ..one.clone() };
    smaps.actors = (100..).zip(HOSTILE).map(party).collect();
    smaps.targets = (200..).zip(HOSTILE.into_iter().rev()).map(party).collect();
    report
}
