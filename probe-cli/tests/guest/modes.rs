//! What works is what doctor says, and the exit code tells it.

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::run::{ensure, guest, run, walkprobe};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("modes::doctor_tells_what_works", doctor_tells_what_works),
        Trial::test("modes::top_shows_the_demo_load_first", top_shows_the_demo_load_first)
            .with_ignored_flag(guest().is_none()),
    ]
}

/// Probes that a series has no function for.
fn lacking(series: &str) -> &'static [&'static str] {
    match series {
        "5.10" => &["thp_file_fault", "collapse_file", "collapse_request"],
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

fn top_shows_the_demo_load_first() -> Result<(), Failed> {
    let mut demo = walkprobe().args(["workload", "demo"]).spawn()?;
    let ended = run(walkprobe().args(["top", "--batch", "-n", "2"]));
    demo.kill()?;
    demo.wait()?;
    let ended = ended?;
    ensure(ended.code() == Some(0), || ended.stderr.clone())?;
    let frame = ended.stdout.rsplit("\n\n").next().unwrap_or_default();
    ensure(frame.contains("walkprobe-demo"), || ended.stdout.clone())
}
