//! `walkprobe walks`: calls of walkers are counted exactly, on both paths.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Stdio},
    sync::LazyLock,
};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    need::loops,
    run::{ensure, guest, note, run, wait, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    if guest().is_none() {
        // A machine at hand may refuse fentry, and others walk there.
        return Vec::new();
    }
    let mut trials = vec![
        Trial::test("walks::steps_are_exact", steps_are_exact),
        Trial::test("walks::probes_are_calibrated", probes_are_calibrated),
    ];
    let slow = Trial::test("walks::slower_on_purpose", slower_on_purpose);
    let lack = loops();
    trials.push(slow.with_ignored_flag(lack.is_some()).with_kind(lack.unwrap_or_default()));
    for space in SPACES {
        let name = format!("walks::exact_{}", space.replace('-', "_"));
        trials.push(Trial::test(name, move || space_is_exact(space)));
    }
    trials
}

/// The address spaces that walkers are driven over.
const SPACES: [&str; 8] =
    ["4k", "sparse", "shared", "thp", "pte-thp", "hugetlb-2m", "hugetlb-1g", "mixed"];

/// Those that take memory away are counted apart: a zap is a part of others.
const GROUPS: [&[&str]; 2] = [
    &[
        "smaps",
        "numa_maps",
        "clear_refs",
        "pagemap",
        "pagemap_scan",
        "mempolicy",
        "mincore",
        "move_pages",
        "rmap_migrate",
        "cold",
        "free",
        "willneed",
        "mlock",
        "populate_advice",
        "gup",
        "gup_fast",
        "protect",
        "fork",
        "guard_install",
        "mremap",
    ],
    &["zap"],
];

/// Walker, path and level.
type Key = (String, String, String);
/// Calls and leaves.
type Count = (i64, i64);
type Counts = BTreeMap<Key, Count>;

/// What the rest of the process adds: the same without a space.
static WITHOUT: LazyLock<Result<(Counts, Counts), String>> = LazyLock::new(|| {
    let message = |failed: Failed| failed.message().unwrap_or("the run panicked").to_owned();
    let (_, counted, driven) = drive("none", GROUPS[0]).map_err(message)?;
    Ok((counted, expected(&driven, |row| row["whole"] == true)))
});

/// Each walker is driven over a space, and counted.
fn space_is_exact(space: &str) -> Result<(), Failed> {
    // Where VMAs begin and end in what a PMD entry maps is to be the same in each run.
    fs::write("/proc/sys/kernel/randomize_va_space", "0")?;
    let mut wrong = Vec::new();
    for group in GROUPS {
        let (report, counted, driven) = drive(space, group)?;
        let mut compare = |key: &Key, found: Count, expected: Count| {
            if found != expected && is_watched(&report, &key.0) {
                wrong.push(format!("{key:?}: {found:?} in the place of {expected:?}"));
            }
        };
        let at = |counts: &Counts, key: &Key| match counts.get(key) {
            Some(count) => *count,
            // Some kernels tell the path, and the leaves of hugetlb, where others do not.
            None if key.1 == "untold" => {
                let of_walker = counts.iter().filter(|(found, _)| found.0 == key.0);
                (of_walker.map(|(_, count)| count.0).sum(), 0)
            }
            None => (0, 0),
        };
        for (key, calls) in expected(&driven, |row| row["whole"] != true) {
            compare(&key, at(&counted, &key), calls);
        }
        for (key, calls) in expected(&driven, |row| row["whole"] == true) {
            let (others, of_others) = WITHOUT.as_ref()?;
            compare(
                &key,
                less(at(&counted, &key), at(others, &key)),
                less(calls, at(of_others, &key)),
            );
        }
        for outcome in driven["walkers"].as_array().into_iter().flatten() {
            if let Some(reason) = outcome["skipped"].as_str() {
                note(&format!("{space}: {} was not driven: {reason}", outcome["walker"]));
            }
        }
    }
    ensure(wrong.is_empty(), || format!("{space}: {}", wrong.join("; ")))
}

fn less(all: Count, others: Count) -> Count {
    (all.0 - others.0, all.1 - others.1)
}

fn is_watched(report: &Value, walker: &str) -> bool {
    let walkers = report["walkers"].as_array().into_iter().flatten();
    walkers.filter(|found| found["name"] == walker).any(|found| {
        found["generic"]["service"] != "missing" || found["hugetlb"]["service"] == "watched"
    })
}

/// Drives walkers while they are counted. Gives the report, what it counted, and what was driven.
fn drive(space: &str, walkers: &[&str]) -> Result<(Value, Counts, Value), Failed> {
    let mut command = walkprobe();
    command.args(["workload", "walks", space, "--wait"]);
    command.args(walkers.iter().flat_map(|walker| ["--walker", walker]));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let Some(pid) = line.trim().strip_prefix("ready ") else {
        let ended = wait(child)?;
        return Err(format!("the space was not built: {}", ended.stderr).into());
    };
    let counting = Counting::begin(&["-p", pid])?;
    stdin.write_all(b"go\n")?;
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let driven: Value = serde_json::from_str(&line)?;
    let report = counting.end()?;
    drop(stdin);
    wait(child)?;
    let mut counts = Counts::new();
    for walker in report["walkers"].as_array().into_iter().flatten() {
        for row in walker["rows"].as_array().into_iter().flatten() {
            add(&mut counts, &walker["name"], row);
        }
    }
    Ok((report, counts, driven))
}

fn add(counts: &mut Counts, walker: &Value, row: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or("untold").to_owned();
    let number = |name: &str| row[name].as_i64().unwrap_or(0);
    let sum = counts.entry((text(walker), text(&row["path"]), text(&row["level"]))).or_default();
    sum.0 += number("calls");
    sum.1 += number("leaves");
}

/// What was driven should come to.
fn expected(driven: &Value, wanted: impl Fn(&Value) -> bool) -> Counts {
    let mut counts = Counts::new();
    for outcome in driven["walkers"].as_array().into_iter().flatten() {
        let rows = outcome["expected"].as_array().into_iter().flatten();
        rows.filter(|row| wanted(row)).for_each(|row| add(&mut counts, &row["walker"], row));
    }
    counts
}

/// `walkprobe walks`, counting.
pub(crate) struct Counting(Child);

impl Counting {
    /// Begins, with more arguments.
    pub(crate) fn begin(arguments: &[&str]) -> Result<Self, Failed> {
        let mut command = walkprobe();
        command.args(["walks", "--json"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        let mut line = String::new();
        stderr.read_line(&mut line)?;
        if !line.contains("counting") {
            child.wait()?;
            return Err(format!("it does not count: {line}").into());
        }
        Ok(Self(child))
    }

    /// Ends, and gives the report.
    pub(crate) fn end(self) -> Result<Value, Failed> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).ok_or("no PID")?;
        kill_process(pid, Signal::INT)?;
        let ended = wait(self.0)?;
        ensure(ended.code() == Some(0), || format!("it ended with {:?}", ended.status))?;
        let report: Value = serde_json::from_str(&ended.stdout)?;
        let lost = &report["uncounted"];
        ensure(lost["state"] == 0 && lost["missed"] == 0, || format!("calls were lost: {lost}"))?;
        Ok(report)
    }
}

/// The calls and the leaves of a walker, by path and level.
pub(crate) fn counted(report: &Value, walker: &str, path: &str, level: &str) -> (u64, u64) {
    let walkers = report["walkers"].as_array().into_iter().flatten();
    let rows = walkers
        .filter(|found| found["name"] == walker)
        .flat_map(|found| found["rows"].as_array().cloned().unwrap_or_default());
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap_or(0);
    rows.filter(|row| row["path"] == path && row["level"] == level)
        .map(|row| (number(&row, "calls"), number(&row, "leaves")))
        .next()
        .unwrap_or_default()
}

/// Each round is over four THPs and four hugetlb pages (`steps/walk.rs`).
fn steps_are_exact() -> Result<(), Failed> {
    let counting = Counting::begin(&["--walker", "smaps", "--walker", "pagemap"])?;
    let ended = run(walkprobe().args(["workload", "run", "smaps:7", "pagemap:3"]))?;
    ensure(ended.code() == Some(0), || format!("the workload failed: {}", ended.stderr))?;
    let report = counting.end()?;
    for (walker, rounds) in [("smaps", 7), ("pagemap", 3)] {
        for path in ["generic", "hugetlb"] {
            let found = counted(&report, walker, path, "pmd");
            ensure(found == (4 * rounds, 4 * rounds), || {
                format!("{walker} on the {path} path: {found:?} calls and leaves of {}", 4 * rounds)
            })?;
        }
    }
    let (calls, leaves) = counted(&report, "pagemap", "generic", "pte");
    ensure((calls, leaves) == (12, 12 * 512), || format!("pagemap by PTE: {calls}, {leaves}"))
}

/// What the probes themselves take is measured.
fn probes_are_calibrated() -> Result<(), Failed> {
    let report = Counting::begin(&["--walker", "smaps"])?.end()?;
    let own = report["calibration"]["fentry"].as_f64();
    ensure(own.is_some_and(|ns| ns > 0.0 && ns < 1e6), || {
        format!("calibration: {}", report["calibration"])
    })
}

/// A callback that is made slower by a known time shows it, and the other path does not.
fn slower_on_purpose() -> Result<(), Failed> {
    const NS: f64 = 2e6;
    for (function, slow, other) in
        [("smaps_hugetlb_range", "hugetlb", "generic"), ("smaps_pte_range", "generic", "hugetlb")]
    {
        let mut command = walkprobe();
        command.args(["__slow", function, &NS.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no standard output")?).read_line(&mut line)?;
        ensure(line == "slower\n", || format!("it said {line:?}"))?;
        let (report, ..) = drive("mixed", &["smaps"])?;
        drop(child.stdin.take());
        child.wait()?;
        // The quickest call: a busy machine stops the guest in some of them.
        let quickest = |path| {
            let walkers = report["walkers"].as_array().into_iter().flatten();
            let smaps = walkers.filter(|walker| walker["name"] == "smaps");
            let mut rows = smaps.flat_map(|smaps| smaps["rows"].as_array().into_iter().flatten());
            let row = rows.find(|row| row["path"] == path && row["level"] == "pmd");
            row.and_then(|row| row["durations"][0][0].as_f64()).unwrap_or(0.0)
        };
        // A bucket is 6.3 % wide.
        let (slow, other) = (quickest(slow), quickest(other));
        ensure(slow > 0.96 * NS && slow < 2.0 * NS && other < 0.5 * NS, || {
            format!("{function} is slower by {NS} ns: {slow} there, {other} on the other path")
        })?;
    }
    Ok(())
}
