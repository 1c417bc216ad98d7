//! Bad input and bad luck: one clear sentence, a documented exit code, and nothing hangs.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};

use crate::run::{Ended, Trace, ensure, run, scratch, wait, walkprobe};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("input::no_such_process", no_such_process),
        Trial::test("input::a_kernel_thread", a_kernel_thread),
        Trial::test("input::a_process_that_ends", a_process_that_ends),
        Trial::test("input::no_rights", no_rights),
        Trial::test("input::unwritable_output", unwritable_output),
        Trial::test("input::full_disk", full_disk),
        Trial::test("input::closed_pipe", closed_pipe),
        Trial::test("input::interrupt", interrupt),
        Trial::test("input::duration", duration),
        Trial::test("input::status_of_the_command", status_of_the_command),
        Trial::test("input::hostile_name", hostile_name),
        Trial::test("input::wrong_words", wrong_words),
    ]
}

/// One line on standard error that begins with our name, and the documented status.
pub(crate) fn one_sentence(ended: &Ended, code: i32, words: &str) -> Result<(), Failed> {
    let one_line = ended.stderr.trim_end().lines().count() == 1;
    let named = ended.stderr.starts_with("walkprobe: ");
    ensure(ended.code() == Some(code) && one_line && named && ended.stderr.contains(words), || {
        format!("status {:?}, expected {code} and {words:?}:\n{}", ended.code(), ended.stderr)
    })
}

fn no_such_process() -> Result<(), Failed> {
    // Above the largest PID that Linux gives (PID_MAX_LIMIT).
    let ended = run(walkprobe().args(["trace", "-p", "4194305"]))?;
    one_sentence(&ended, 5, "there is no process 4194305")
}

fn a_kernel_thread() -> Result<(), Failed> {
    let kthreadd = fs::read_to_string("/proc/2/comm").unwrap_or_default();
    if kthreadd.trim() != "kthreadd" {
        return Ok(()); // in a container PID 2 can be anything
    }
    one_sentence(&run(walkprobe().args(["trace", "-p", "2"]))?, 5, "has no address space")
}

fn a_process_that_ends() -> Result<(), Failed> {
    let mut sleep = Command::new("sleep").arg("1").spawn()?;
    let ended = run(walkprobe().args(["trace", "-p", &sleep.id().to_string()]));
    sleep.wait()?;
    let ended = ended?;
    // It may have ended before it was looked at, on a slow machine.
    if ended.code() == Some(5) {
        return one_sentence(&ended, 5, "process");
    }
    let trace = Trace::parse(&ended.stdout)?;
    ensure(trace.footer["reason"] == "exit" && ended.code() == Some(0), || ended.stderr)
}

fn no_rights() -> Result<(), Failed> {
    // The binary may stand where only root can go.
    let copy = scratch("unprivileged");
    fs::copy(which(walkprobe().get_program())?, &copy)?;
    let ended = run(Command::new(&copy).args(["trace", "--", "true"]).uid(65534).gid(65534));
    let doctor = run(Command::new(&copy).arg("doctor").uid(65534).gid(65534));
    fs::remove_file(&copy)?;
    one_sentence(&ended?, 4, "run it as root, or with CAP_BPF, CAP_PERFMON")?;
    let doctor = doctor?;
    ensure(doctor.code() == Some(4) && doctor.stdout.contains("CAP_BPF missing"), || doctor.stdout)
}

/// Where a program is.
pub(crate) fn which(program: &std::ffi::OsStr) -> Result<std::path::PathBuf, Failed> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Ok(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| "the binary is not on PATH".into())
}

fn unwritable_output() -> Result<(), Failed> {
    let ended = run(walkprobe().args(["trace", "-o", "/nowhere/t.jsonl", "--", "true"]))?;
    one_sentence(&ended, 6, "cannot write /nowhere/t.jsonl: ")
}

fn full_disk() -> Result<(), Failed> {
    let ended = run(walkprobe().args(["trace", "-o", "/dev/full", "--", "true"]))?;
    one_sentence(&ended, 6, "free some space")
}

fn closed_pipe() -> Result<(), Failed> {
    let mut child = walkprobe()
        .args(["trace", "--", "sleep", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let ended = wait(child)?;
    ensure(ended.code() == Some(0) && ended.stderr.is_empty(), || {
        format!("{:?}: {}", ended.status, ended.stderr)
    })
}

fn interrupt() -> Result<(), Failed> {
    let mut child = walkprobe()
        .args(["trace", "-p", &std::process::id().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // The header comes when everything is attached.
    let mut stdout = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut text = String::new();
    stdout.read_line(&mut text)?;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    std::io::Read::read_to_string(&mut stdout, &mut text)?;
    let ended = wait(child)?;
    let trace = Trace::parse(&text)?;
    ensure(ended.code() == Some(0) && trace.footer["reason"] == "signal", || {
        format!("{:?} {}", ended.status, trace.footer)
    })
}

fn duration() -> Result<(), Failed> {
    let pid = std::process::id().to_string();
    let ended = run(walkprobe().args(["trace", "--duration", "0.3", "-p", &pid]))?;
    let trace = Trace::parse(&ended.stdout)?;
    let start = trace.header["clock"]["start"].as_u64().ok_or("no start")?;
    let end = trace.footer["time"].as_u64().ok_or("no end")?;
    let took = Duration::from_nanos(end - start);
    ensure(trace.footer["reason"] == "duration" && took >= Duration::from_millis(300), || {
        format!("{took:?}: {}", trace.footer)
    })
}

fn status_of_the_command() -> Result<(), Failed> {
    let file = scratch("status.jsonl");
    let status = |command: &[&str]| -> Result<Option<i32>, Failed> {
        let mut trace = walkprobe();
        trace.args(["trace", "-o"]).arg(&file).arg("--").args(command);
        Ok(run(&mut trace)?.code())
    };
    let statuses = [
        status(&["sh", "-c", "exit 42"])?,
        status(&["sh", "-c", "kill -9 $$"])?,
        status(&["/nowhere/command"])?,
        status(&["/proc"])?,
    ];
    fs::remove_file(&file)?;
    let expected = [Some(42), Some(128 + 9), Some(127), Some(126)];
    ensure(statuses == expected, || format!("{statuses:?} instead of {expected:?}"))
}

fn hostile_name() -> Result<(), Failed> {
    // A thread's name is what it writes to /proc/self/comm.
    let script = "printf '\\033[2J\\042\\n' > /proc/$$/comm; : $(true)";
    let ended = run(walkprobe().args(["trace", "--", "sh", "-c", script]))?;
    let trace = Trace::parse(&ended.stdout)?;
    ensure(!ended.stdout.contains('\u{1b}'), || "an escape character came through".to_owned())?;
    let came_through = trace.events.iter().any(|event| event.by.comm == "\\x1b[2J\"\\x0a");
    ensure(came_through, || {
        let names: std::collections::BTreeSet<_> =
            trace.events.iter().map(|event| event.by.comm.as_str()).collect();
        format!("names: {names:?}")
    })
}

fn wrong_words() -> Result<(), Failed> {
    for words in [
        &["trace"][..],
        &["trace", "-p", "x"],
        &["trace", "-p", "1", "--duration", "-1"],
        &["trace", "-p", "1", "--ring-size", "5"],
        &["trace", "-p", "1", "--", "true"],
        &["trace", "--rotate", "2M", "--", "true"],
        &["trace", "--max-size", "1K", "--", "true"],
        &["trace", "--comm", "x", "--", "true"],
        &["nothing"],
    ] {
        let ended = run(walkprobe().args(words))?;
        ensure(ended.code() == Some(2), || format!("{words:?}: {:?}", ended.status))?;
    }
    Ok(())
}
