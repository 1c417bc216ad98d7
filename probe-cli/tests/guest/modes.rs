//! What works is what doctor says, and the exit code tells it.

use std::fs::{self, File};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::run::{Trace, ensure, guest, run, scratch, walkprobe};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("modes::doctor_tells_what_works", doctor_tells_what_works),
        Trial::test("modes::diagnostics_change_nothing", diagnostics_change_nothing),
        Trial::test("modes::top_shows_the_demo_load_first", top_shows_the_demo_load_first)
            .with_ignored_flag(guest().is_none()),
    ]
}

/// Probes that a series has no function for.
fn lacking(series: &str) -> &'static [&'static str] {
    match series {
        "5.10" => &["thp_file_fault", "collapse_file", "collapse_request", "unshare", "migrate"],
        _ => &[],
    }
}

fn doctor_tells_what_works() -> Result<(), Failed> {
    let ended = run(walkprobe().args(["doctor", "--json"]))?;
    let diagnosis: Value = serde_json::from_str(&ended.stdout)?;
    let report = &diagnosis["report"];
    let off: Vec<&str> = report["probes"]
        .as_array()
        .ok_or("no probes")?
        .iter()
        .filter(|probe| probe["attached"].is_null())
        .filter_map(|probe| probe["probe"].as_str())
        .collect();
    if let Some(series) = guest() {
        let lacking = lacking(&series);
        ensure(off == lacking, || format!("off: {off:?}, expected: {lacking:?}"))?;
        let expected = if lacking.is_empty() { ("full", 0) } else { ("reduced", 3) };
        return ensure(
            (report["mode"].as_str(), ended.code()) == (Some(expected.0), Some(expected.1)),
            || format!("mode {}, status {:?}", report["mode"], ended.code()),
        );
    }
    // Whatever this kernel allows, mode and status agree, and each probe that is off has a reason.
    let code = match report["mode"].as_str() {
        Some("full") => 0,
        Some("reduced") => 3,
        _ => 4,
    };
    ensure(ended.code() == Some(code), || format!("status {:?}", ended.code()))?;
    let text = run(walkprobe().arg("doctor"))?.stdout;
    for probe in off {
        let has_reason = text.lines().any(|line| line.starts_with(probe) && line.contains("off: "));
        ensure(has_reason, || format!("no reason for {probe} in:\n{text}"))?;
    }
    Ok(())
}

/// With -v the programs contain messages, which the verifier must accept too.
fn diagnostics_change_nothing() -> Result<(), Failed> {
    let states = |words: &[&str]| -> Result<Value, Failed> {
        let ended = run(walkprobe().args(words))?;
        Ok(Trace::parse(&ended.stdout)?.header["probes"].take())
    };
    let quiet = states(&["trace", "--", "true"])?;
    let verbose = states(&["-v", "trace", "--", "true"])?;
    ensure(quiet == verbose, || format!("{quiet}\nand with -v\n{verbose}"))
}

/// Columns of top, with the probes whose rates they add up.
const COLUMNS: [(&str, &[&str]); 3] = [
    ("HUGETLB/s", &["hugetlb_fault"]),
    ("THP/s", &["thp_fault", "thp_wp_fault"]),
    ("SPLIT/s", &["pmd_split", "folio_split"]),
];

/// The demo load says what it does each second when it keeps up. An emulated guest may be slower,
/// but the mix stays: the columns are to each other as the demo says.
fn top_shows_the_demo_load_first() -> Result<(), Failed> {
    let said = scratch("demo.txt");
    let mut demo = walkprobe().args(["workload", "demo"]).stdout(File::create(&said)?).spawn()?;
    let ended = run(walkprobe().args(["top", "--batch", "-n", "2", "--interval", "5"]));
    demo.kill()?;
    demo.wait()?;
    let ended = ended?;
    let promised = fs::read_to_string(&said)?;
    fs::remove_file(&said)?;
    ensure(ended.code() == Some(0), || ended.stderr.clone())?;

    let rows: Vec<Vec<&str>> =
        ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let heads = rows.iter().rposition(|row| row.first() == Some(&"PID")).ok_or("no table")?;
    let first = rows.get(heads + 1).ok_or("an empty table")?;
    ensure(first.get(1) == Some(&"walkprobe-demo"), || ended.stdout.clone())?;
    let shown = |column: &str| {
        let place = rows[heads].iter().position(|head| *head == column)?;
        number(first.get(place)?)
    };
    let promised = |probe: &&str| {
        let line =
            promised.lines().find(|line| line.trim_start().starts_with(&format!("{probe} ")));
        number(line?.split_whitespace().last()?)
    };
    let mut slowness = Vec::new();
    for (column, probes) in COLUMNS {
        let shown = shown(column).ok_or("no such column")?;
        let promised: f64 =
            probes.iter().map(promised).sum::<Option<f64>>().ok_or("nothing promised")?;
        slowness.push(shown / promised);
    }
    // A sample can cut a round in two, and a round is a twentieth or so of what one covers.
    let (least, most) =
        slowness.iter().fold((f64::MAX, 0.0_f64), |(a, b), &x| (a.min(x), b.max(x)));
    ensure(least > 0.0 && most / least < 1.25, || {
        format!("{slowness:?} of what the demo does:\n{}", ended.stdout)
    })
}

/// `12`, `3.4` or `5.6k`.
fn number(text: &str) -> Option<f64> {
    match text.strip_suffix('k') {
        Some(thousands) => Some(thousands.parse::<f64>().ok()? * 1e3),
        None => text.parse().ok(),
    }
}
