//! A workload of known operations is traced, and the trace shows exactly those.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use libtest_mimic::{Failed, Trial};
use probe_common::probe::{Family, Probe};
use serde_json::Value;
use walkprobe::event::{Detail, Event, FaultOutcome, Path};

use crate::run::{Trace, ensure, guest, run, scratch, walkprobe};

/// The steps, by the reason why they can be left out on some kernels.
const STEPS: [&str; 13] = [
    "hugetlb-2m:7",
    "hugetlb-1g:1",
    "base:1000",
    "thp:5",
    "thp-read:3",
    "thp-cow:3",
    "split-munmap:4",
    "split-mprotect:3",
    "folio-split:3",
    "collapse:2",
    "smaps:3",
    "pagemap:2",
    "smaps:1",
];

pub(crate) fn trials() -> Vec<Trial> {
    if guest().is_none() {
        // A machine at hand may be busy with THP and hugetlb, and lack pools.
        return Vec::new();
    }
    STEPS
        .iter()
        .enumerate()
        .map(|(number, step)| {
            Trial::test(format!("exact::{number}_{step}"), move || step_is_exact(number, step))
        })
        .collect()
}

/// What makes events alike: probe, size of a hugetlb page, path of a walk.
type Kind = (String, Option<u64>, Option<String>);

fn step_is_exact(number: usize, step: &str) -> Result<(), Failed> {
    let trace_file = scratch(&format!("exact-{number}.jsonl"));
    let report_file = scratch(&format!("exact-{number}.json"));
    let mut command = walkprobe();
    command.args(["trace", "-o"]).arg(&trace_file).arg("--");
    // The shell keeps the report apart from the trace.
    command.args(["sh", "-c", "exec \"$0\" workload run --json \"$1\" > \"$2\""]);
    command.arg(walkprobe().get_program()).arg(step).arg(&report_file);
    let ended = run(&mut command)?;
    let report: Value = serde_json::from_str(&fs::read_to_string(&report_file)?)
        .map_err(|error| format!("{error}; it said: {}", ended.stderr))?;
    let trace = Trace::parse(&fs::read_to_string(&trace_file)?)?;
    fs::remove_file(&trace_file)?;
    fs::remove_file(&report_file)?;

    let step_report = &report["steps"][0];
    if step_report["outcome"] == "skipped" {
        return may_be_skipped(step, &step_report["reason"]);
    }
    ensure(step_report["outcome"] == "done" && ended.code() == Some(0), || {
        format!("the workload did not do it: {step_report} {}", ended.stderr)
    })?;
    ensure(trace.footer["lost"] == 0 && trace.footer["unreadable"] == 0, || {
        format!("events were lost: {}", trace.footer)
    })?;

    let areas = areas(step_report)?;
    let mut found: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    let repeated = step_report["repeated"].as_u64().unwrap_or(0);
    let mut failed_collapses: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &trace.events {
        if !is_in(event, &areas) {
            continue;
        }
        if succeeded(event) {
            *found.entry(kind(event)).or_default() += 1;
        } else if !matches!(event.detail, Detail::Fault { outcome: FaultOutcome::Retry, .. }) {
            // The kernel may ask to try a collapse again.
            let number = failed_collapses.entry(event.probe.name()).or_default();
            *number += u64::from(event.probe.family() == Family::Collapse);
            if *number == 0 || *number > repeated {
                failed.push(event);
            }
        }
    }
    ensure(failed.is_empty(), || format!("operations failed: {failed:?}"))?;
    let expected = expected(step_report, &trace)?;
    ensure(found == expected, || difference(&expected, &found))
}

/// Which steps a kernel or a guest may leave out; anything else must run.
fn may_be_skipped(step: &str, reason: &Value) -> Result<(), Failed> {
    let old = guest().is_some_and(|series| series == "5.10");
    ensure(old && step.starts_with("collapse"), || format!("skipped: {reason}"))
}

fn areas(step: &Value) -> Result<Vec<(u64, u64)>, Failed> {
    let areas = step["areas"].as_array().ok_or("no areas")?;
    Ok(areas
        .iter()
        .map(|area| Some((address(&area["start"])?, address(&area["end"])?)))
        .collect::<Option<_>>()
        .ok_or("areas are not addresses")?)
}

fn address(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn is_in(event: &Event, areas: &[(u64, u64)]) -> bool {
    let address = match &event.detail {
        Detail::Fault { address, .. }
        | Detail::PmdSplit { address, .. }
        | Detail::Collapse { address: Some(address), .. } => *address,
        Detail::CollapseRequest { start, .. } | Detail::Walk { start, .. } => *start,
        // These have no address. The trace is that of one process, which does nothing else.
        Detail::FolioSplit { .. } | Detail::Collapse { address: None, .. } => return true,
    };
    areas.iter().any(|(start, end)| (*start..*end).contains(&address.0))
}

fn succeeded(event: &Event) -> bool {
    match &event.detail {
        // A write to a shared THP is left to the handler of base pages, which copies one.
        Detail::Fault { outcome, .. } if event.probe == Probe::ThpWpFault => {
            *outcome == FaultOutcome::Fallback
        }
        Detail::Fault { outcome, .. } => *outcome == FaultOutcome::Done,
        Detail::Collapse { outcome, .. } => outcome == "succeed",
        Detail::FolioSplit { errno, .. } | Detail::CollapseRequest { errno, .. } => *errno == 0,
        Detail::PmdSplit { .. } | Detail::Walk { .. } => true,
    }
}

fn kind(event: &Event) -> Kind {
    let (page_size, path) = match &event.detail {
        Detail::Fault { page_size, .. } => (*page_size, None),
        // The path of a callback is in its name.
        Detail::Walk { path, .. } if event.probe.name() == "walk_vma" => {
            (None, Some(if *path == Path::Generic { "generic" } else { "hugetlb" }.to_owned()))
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
        all.insert((probe, row["page_size"].as_u64(), path), number);
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
