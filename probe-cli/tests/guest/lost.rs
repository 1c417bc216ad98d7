//! With a ring buffer that is too small on purpose, the loss is known to the last event.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};

use rustix::process::{Pid, Signal, kill_process};

use crate::run::{PATIENCE, Trace, ensure, is_accounted, scratch, wait, walkprobe};

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("lost::every_lost_event_is_counted", every_lost_event_is_counted)]
}

fn every_lost_event_is_counted() -> Result<(), Failed> {
    let file = scratch("lost.jsonl");
    // The shell waits for a line, and then becomes the workload.
    let mut target = Command::new("sh")
        .args(["-c", "read line; exec \"$0\" workload run base:20000"])
        .arg(walkprobe().get_program())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut trace = walkprobe();
    trace.args(["trace", "--ring-size", "4", "-p", &target.id().to_string(), "-o"]).arg(&file);
    let tracer = trace.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let result = while_nobody_reads(&mut target, &tracer, &file);
    // Whatever happened, nothing stays behind.
    target.kill()?;
    target.wait()?;
    kill_process(Pid::from_child(&tracer), Signal::CONT)?;
    let ended = wait(tracer)?;
    result?;
    let trace = Trace::parse(&fs::read_to_string(&file)?)?;
    fs::remove_file(&file)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;

    let mut emitted = 0;
    let mut lost = 0;
    for probe in trace.footer["probes"].as_array().ok_or("no counts")? {
        let count = |name: &str| probe[name].as_u64().unwrap_or(u64::MAX);
        ensure(is_accounted(probe), || format!("seen is not the sum of fates: {probe}"))?;
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

/// Lets the target run while the tracer is stopped, so that the ring buffer must overflow.
fn while_nobody_reads(target: &mut Child, tracer: &Child, file: &Path) -> Result<(), Failed> {
    let end = Instant::now() + PATIENCE;
    // The header is written when everything is attached.
    while !fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n')) {
        ensure(Instant::now() < end, || "the trace did not begin".to_owned())?;
        thread::sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(tracer), Signal::STOP)?;
    target.stdin.take().ok_or("no input")?.write_all(b"go\n")?;
    target.wait()?;
    Ok(())
}
