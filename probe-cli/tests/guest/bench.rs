//! `walkprobe bench`: what it measures is exactly what was driven.

use std::{collections::BTreeSet, fs};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use walkprobe::{
    bench::results::{Case, Clock, LeafBytes, Results, Row, Run},
    event::Path,
    model::leaf::{LeafKind, LeafSize},
    walk::site::Level,
};

use crate::{
    need,
    run::{ensure, guest, run, scratch, walkprobe},
    setting::Setting,
};

pub(crate) fn trials() -> Vec<Trial> {
    if guest().is_none() {
        // A machine at hand may refuse fentry.
        return Vec::new();
    }
    let lack = need::thp().or_else(|| need::hugetlb(2 << 20, 4));
    let counts = Trial::test("bench::counts_are_exact", counts_are_exact);
    let check = Trial::test("bench::a_kernel_checked_against_itself", checked_against_itself);
    vec![
        counts.with_ignored_flag(lack.is_some()).with_kind(lack.clone().unwrap_or_default()),
        check.with_ignored_flag(lack.is_some()).with_kind(lack.unwrap_or_default()),
        Trial::test("bench::full_disk", full_disk),
    ]
}

/// Of `--samples`, and of each sample's rounds; in a space there are four pieces of 2 MiB by default.
const SAMPLES: usize = 3;
const RUNS: usize = 2;
const CALLS: u64 = 3 * 4;

fn counts_are_exact() -> Result<(), Failed> {
    // What else the process that is measured has must not be THPs.
    let _setting = Setting::change("/sys/kernel/mm/transparent_hugepage/enabled", "madvise")?;
    let file = scratch("bench.json");
    let mut command = walkprobe();
    command.args(["bench", "--suite", "quick", "--samples", &SAMPLES.to_string()]);
    command.args(["--runs", &RUNS.to_string()]);
    let ended = run(command.arg("-o").arg(&file))?;
    ensure(ended.code() == Some(0), || format!("it failed: {}", ended.stderr))?;
    let results: Results = serde_json::from_str(&fs::read_to_string(&file)?)?;
    fs::remove_file(&file)?;

    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure(results.kernel.release == release.trim(), || format!("{:?}", results.kernel))?;
    ensure(results.clock == Clock::Time, || "the clock is no clock".to_owned())?;
    ensure(results.runs.len() == RUNS, || format!("{} runs", results.runs.len()))?;
    results.runs.iter().try_for_each(run_is_exact)
}

fn run_is_exact(run: &Run) -> Result<(), Failed> {
    let lost = run.uncounted;
    ensure(lost.state == 0 && lost.missed == 0, || format!("calls were lost: {lost:?}"))?;

    let cases: BTreeSet<_> =
        run.cases.iter().map(|case| (case.space.as_str(), case.walker.as_str())).collect();
    let wanted = ["thp", "hugetlb-2m"];
    let wanted = wanted.map(|space| ["smaps", "pagemap", "mincore"].map(|walker| (space, walker)));
    // Of the three, smaps goes over the rest of the process, too.
    let wanted = wanted.into_iter().flatten().chain([("none", "smaps")]).collect();
    ensure(cases == wanted, || format!("{cases:?}"))?;
    let over_spaces = run.cases.iter().filter(|case| case.space != "none");
    over_spaces.clone().try_for_each(case_is_exact)?;

    for leaves in &run.leaves {
        let all = [LeafBytes { size: LeafSize::PMD, kind: LeafKind::Present, bytes: 8 << 20 }];
        ensure(leaves.bytes == all, || format!("{leaves:?}"))?;
    }
    ensure(run.leaves.len() == 2, || format!("{:?}", run.leaves))
}

/// Each sample has a call for each huge page, on one path.
fn case_is_exact(case: &Case) -> Result<(), Failed> {
    let name = format!("{} over {}", case.walker, case.space);
    ensure(case.skipped.is_none(), || format!("{name}: {:?}", case.skipped))?;
    ensure(case.loops.len() == SAMPLES && case.loops.iter().all(|&ns| ns > 0), || {
        format!("{name}: {:?}", case.loops)
    })?;
    let (here, elsewhere) = match case.space.as_str() {
        "thp" => (Path::Generic, Path::Hugetlb),
        _ => (Path::Hugetlb, Path::Generic),
    };
    let huge: Vec<&Row> = case.rows.iter().filter(|row| row.level == Level::Pmd).collect();
    let of_path = |path| huge.iter().find(|row| row.path == Some(path));
    let row = of_path(here).ok_or_else(|| format!("{name}: no calls: {:?}", case.rows))?;
    let counts = row.counts().map(|counts| (counts.calls, counts.leaves));
    ensure(row.walker == case.walker && counts == Some((CALLS, CALLS)), || {
        format!("{name}: {row:?} in the place of {CALLS} calls and leaves in each sample")
    })?;
    ensure(row.samples.iter().all(|sample| sample.ns > 0), || format!("{name}: {row:?}"))?;
    ensure(of_path(elsewhere).is_none(), || format!("{name}: {:?}", case.rows))
}

/// The same kernel does the same, whatever its times are on a machine that others use, too.
fn checked_against_itself() -> Result<(), Failed> {
    let _setting = Setting::change("/sys/kernel/mm/transparent_hugepage/enabled", "madvise")?;
    let file = scratch("baseline.json");
    let mut command = walkprobe();
    command.args(["bench", "--suite", "quick", "--samples", "3", "--runs", "3", "-o"]).arg(&file);
    let ended = run(&mut command)?;
    ensure(ended.code() == Some(0), || format!("bench failed: {}", ended.stderr))?;
    let mut command = walkprobe();
    command.args(["check", "--suite", "quick", "--format", "json", "--baseline"]).arg(&file);
    let ended = run(&mut command)?;
    fs::remove_file(&file)?;
    ensure(matches!(ended.code(), Some(0 | 1)), || {
        format!("check ended with {:?}: {}", ended.status, ended.stderr)
    })?;
    let report: Value = serde_json::from_str(&ended.stdout)?;
    let comparison = &report["comparisons"][0];
    let findings = comparison["findings"].as_array().ok_or("no findings")?;
    let exact: Vec<_> = findings.iter().filter(|found| found["kind"] != "time").collect();
    ensure(exact.is_empty(), || format!("{exact:?}"))?;
    let times = comparison["times"].as_array().map_or(0, Vec::len);
    // Three walkers over two spaces, on one path and level each.
    ensure(comparison["counted"] == 6 && times == 6, || comparison.to_string())
}

/// What cannot be written is told, with its exit code.
fn full_disk() -> Result<(), Failed> {
    let mut command = walkprobe();
    command.args(["bench", "--suite", "quick", "--samples", "1", "--runs", "1", "-o", "/dev/full"]);
    let ended = run(&mut command)?;
    ensure(ended.code() == Some(6) && ended.stderr.contains("cannot write /dev/full"), || {
        format!("it ended with {:?}: {}", ended.status, ended.stderr)
    })
}
