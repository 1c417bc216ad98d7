//! With a ring buffer that is too small on purpose, the loss is known to the last event.

use std::fs;

use libtest_mimic::{Failed, Trial};

use crate::run::{Trace, ensure, run, scratch, walkprobe};

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("lost::every_lost_event_is_counted", every_lost_event_is_counted)]
}

fn every_lost_event_is_counted() -> Result<(), Failed> {
    let file = scratch("lost.jsonl");
    let mut command = walkprobe();
    command.args(["trace", "--ring-size", "4", "-o"]).arg(&file).arg("--");
    command.arg(walkprobe().get_program()).args(["workload", "run", "base:20000"]);
    let ended = run(&mut command)?;
    let trace = Trace::parse(&fs::read_to_string(&file)?)?;
    fs::remove_file(&file)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;

    let mut emitted = 0;
    let mut lost = 0;
    for probe in trace.footer["probes"].as_array().ok_or("no counts")? {
        let count = |name: &str| probe[name].as_u64().unwrap_or(u64::MAX);
        let fates = ["filtered", "ignored", "emitted", "lost_ring", "lost_state"];
        let sum: u64 = fates.map(count).iter().sum();
        ensure(count("seen") == sum, || format!("seen is not the sum of fates: {probe}"))?;
        emitted += count("emitted");
        lost += count("lost_ring") + count("lost_state");
    }
    ensure(lost > 0, || format!("a ring of 4 KiB lost nothing: {}", trace.footer))?;
    ensure(trace.footer["lost"] == lost, || format!("lost: {}", trace.footer))?;
    ensure(trace.events.len() as u64 == emitted, || {
        format!("{} events in the trace, {emitted} emitted", trace.events.len())
    })?;
    ensure(ended.stderr.contains(&format!("{lost} events were lost")), || ended.stderr.clone())
}
