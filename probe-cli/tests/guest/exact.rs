//! A workload of known operations is traced, and the trace shows exactly those.

use std::{collections::BTreeMap, fmt::Write as _, fs, sync::LazyLock};

use libtest_mimic::{Failed, Trial};
use probe_common::probe::{Family, Probe};
use serde_json::Value;
use walkprobe::{
    change::Change,
    event::{Detail, Event, FaultOutcome, Path},
};

use crate::run::{Trace, ensure, guest, note, run, scratch, walkprobe};

/// The steps: their numbers differ, so that no count is right by accident.
const STEPS: [&str; 19] = [
    "hugetlb-2m:7",
    "hugetlb-1g:1",
    "base:1000",
    "thp:5",
    "thp-read:3",
    "thp-cow:4",
    "split-munmap:6",
    "split-mprotect:2",
    "folio-split:3",
    "collapse:2",
    "smaps:3",
    "pagemap:2",
    "smaps:1",
    "zap:11",
    "zap-hugetlb:3",
    "protect:8",
    "move:9",
    "fork:4",
    "unmap:10",
];

pub(crate) fn trials() -> Vec<Trial> {
    if guest().is_none() {
        // A machine at hand may be busy with THP and hugetlb, and lack pools.
        return Vec::new();
    }
    (0..STEPS.len())
        .map(|number| {
            Trial::test(format!("exact::{number}_{}", STEPS[number]), move || step_is_exact(number))
        })
        .collect()
}

/// All steps are traced once, each in an area of its own.
static RUN: LazyLock<Result<(Value, Trace), String>> = LazyLock::new(|| {
    let message = |failed: Failed| failed.message().unwrap_or("the run panicked").to_owned();
    for _ in 0..RUNS {
        let run = traced_run().map_err(message)?;
        if run.1.footer["missed"] == 0 {
            return Ok(run);
        }
        note(&format!("the kernel did not show {} calls: once more", run.1.footer["missed"]));
    }
    Err("the kernel did not show all calls, each time".to_owned())
});

/// How often it is tried: where the kernel can be preempted, it may not show each call.
const RUNS: usize = 5;

fn traced_run() -> Result<(Value, Trace), Failed> {
    let trace_file = scratch("exact.jsonl");
    let report_file = scratch("exact.json");
    let mut command = walkprobe();
    command.args(["trace", "--walks", "-o"]).arg(&trace_file).arg("--");
    // The shell keeps the report apart from what walkprobe says.
    command.args([
        "sh",
        "-c",
        "out=\"$1\"; shift; exec \"$0\" workload run --json \"$@\" > \"$out\"",
    ]);
    command.arg(walkprobe().get_program()).arg(&report_file).args(STEPS);
    let ended = run(&mut command)?;
    let report: Value = serde_json::from_str(&fs::read_to_string(&report_file)?)
        .map_err(|error| format!("{error}; it said: {}", ended.stderr))?;
    let trace = Trace::parse(&fs::read_to_string(&trace_file)?)?;
    fs::remove_file(&trace_file)?;
    fs::remove_file(&report_file)?;
    ensure(trace.footer["lost"] == 0 && trace.footer["unreadable"] == 0, || {
        format!("events were lost: {}", trace.footer)
    })?;
    Ok((report, trace))
}

/// What makes events alike: probe, size of a hugetlb page or of a changed range, path of a walk.
type Kind = (String, Option<u64>, Option<String>);

fn step_is_exact(number: usize) -> Result<(), Failed> {
    let (report, trace) = RUN.as_ref()?;
    let step = &report["steps"][number];
    if step["outcome"] == "skipped" {
        return may_be_skipped(STEPS[number], &step["reason"]);
    }
    ensure(step["outcome"] == "done", || format!("the workload did not do it: {step}"))?;

    let expected = expected(step, trace)?;
    let areas = areas(step)?;
    let mut found: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    // The kernel may ask to try a collapse again; the workload does, and says how often.
    let repeated = step["repeated"].as_u64().unwrap_or(0);
    let mut failed_collapses: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &trace.events {
        let kind = kind(event);
        // Every step maps and frees memory; what that changes is only exact where a step says so.
        let is_told = expected.keys().any(|(probe, ..)| *probe == kind.0);
        if matches!(event.detail, Detail::Change(_)) && !is_told {
            continue;
        }
        // Folio splits have no address: they belong to the one step that causes any.
        let mine = match address(event) {
            Some(address) => areas.iter().any(|(start, end)| (*start..*end).contains(&address)),
            None => expected.contains_key(&kind),
        };
        if mine && succeeded(event) {
            *found.entry(kind).or_default() += 1;
        } else if mine && event.probe.family() == Family::Collapse {
            *failed_collapses.entry(event.probe.name()).or_default() += 1;
        } else if mine && !is_retried(event) {
            failed.push(event);
        }
    }
    ensure(failed.is_empty(), || format!("operations failed: {failed:?}"))?;
    ensure(failed_collapses.values().all(|&number| number <= repeated), || {
        format!("{failed_collapses:?} failed, {repeated} were repeated")
    })?;
    ensure(found == expected, || difference(&expected, &found))
}

/// Which steps a kernel may leave out; anything else must run.
fn may_be_skipped(step: &str, reason: &Value) -> Result<(), Failed> {
    let old = guest().is_some_and(|series| series == "5.10");
    ensure(old && step.starts_with("collapse"), || format!("skipped: {reason}"))
}

fn areas(step: &Value) -> Result<Vec<(u64, u64)>, Failed> {
    let areas = step["areas"].as_array().ok_or("no areas")?;
    Ok(areas
        .iter()
        .map(|area| Some((hexadecimal(&area["start"])?, hexadecimal(&area["end"])?)))
        .collect::<Option<_>>()
        .ok_or("areas are not addresses")?)
}

fn hexadecimal(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn address(event: &Event) -> Option<u64> {
    match &event.detail {
        Detail::Fault { address, .. } | Detail::PmdSplit { address, .. } => Some(address.0),
        Detail::Collapse { address, .. } => address.map(|address| address.0),
        Detail::CollapseRequest { start, .. } | Detail::Walk { start, .. } => Some(start.0),
        Detail::FolioSplit { .. } => None,
        Detail::Change(change) => change.start().map(|start| start.0),
    }
}

fn succeeded(event: &Event) -> bool {
    match &event.detail {
        // A shared THP is split, and a base page copied: that is a fallback.
        Detail::Fault { outcome, .. } if event.probe == Probe::ThpWpFault => {
            *outcome == FaultOutcome::Fallback
        }
        Detail::Fault { outcome, .. } => *outcome == FaultOutcome::Done,
        Detail::Collapse { outcome, .. } => outcome == "succeed",
        Detail::FolioSplit { errno, .. }
        | Detail::CollapseRequest { errno, .. }
        | Detail::Change(Change::Fork { errno, .. } | Change::Vma { errno, .. }) => *errno == 0,
        Detail::Change(Change::Protect { pages, .. }) => *pages == Some(1),
        Detail::PmdSplit { .. } | Detail::Walk { .. } | Detail::Change(_) => true,
    }
}

/// Faults under the VMA lock are tried again with the mmap_lock where that is needed.
fn is_retried(event: &Event) -> bool {
    matches!(event.detail, Detail::Fault { outcome: FaultOutcome::Retry, .. })
}

fn kind(event: &Event) -> Kind {
    let (page_size, path) = match &event.detail {
        Detail::Fault { page_size, .. } => (*page_size, None),
        // The path of a callback is in its name.
        Detail::Walk { path, .. } if event.probe.name() == "walk_vma" => {
            (None, Some(if *path == Path::Generic { "generic" } else { "hugetlb" }.to_owned()))
        }
        Detail::Change(change) => {
            (change.start().zip(change.end()).map(|(start, end)| end.0 - start.0), None)
        }
        _ => (None, None),
    };
    (event.probe.name().to_owned(), page_size, path)
}

fn expected(step: &Value, trace: &Trace) -> Result<BTreeMap<Kind, u64>, Failed> {
    let mut all = BTreeMap::new();
    for row in step["expected"].as_array().ok_or("no expectations")? {
        let probe = row["probe"].as_str().ok_or("no probe")?.to_owned();
        if !trace.is_attached_to_function(&probe) {
            // doctor says so; the test of its output names the kernels that lack a probe.
            continue;
        }
        let number = row["number"].as_u64().ok_or("no number")?;
        let path = row["path"].as_str().map(str::to_owned);
        let size = row["page_size"].as_u64().or_else(|| row["size"].as_u64());
        all.insert((probe, size, path), number);
    }
    Ok(all)
}

fn difference(expected: &BTreeMap<Kind, u64>, found: &BTreeMap<Kind, u64>) -> String {
    let mut text = "the trace differs:".to_owned();
    for kind in expected.keys().chain(found.keys().filter(|kind| !expected.contains_key(kind))) {
        let (want, have) = (expected.get(kind), found.get(kind));
        if want != have {
            let _ = write!(text, "\n  {kind:?}: expected {want:?}, found {have:?}");
        }
    }
    text
}
