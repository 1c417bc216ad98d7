//! `walkprobe why` names the cause, from a running process and from a trace of it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{self, Child, ChildStdout, Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    child::until,
    memory::{Area, PAGE, PMD},
    need,
    run::{ensure, run, scratch, wait, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    let lack = need::loops()
        .or_else(|| need::a_guest("it needs functions to be probed"))
        .or_else(need::thp);
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        Trial::test(format!("why::{name}"), test)
            .with_ignored_flag(lack.is_some())
            .with_kind(lack.clone().unwrap_or_default())
    };
    vec![
        trial("a_split_by_mprotect", a_split_by_mprotect),
        trial("a_trace_tells_the_same", a_trace_tells_the_same),
        trial("exec_and_exit", exec_and_exit),
    ]
}

/// A huge leaf of this process.
fn huge_leaf() -> Result<Area, Failed> {
    let area = Area::huge(PMD)?.ok_or("THP is switched off")?;
    area.write(0..PMD);
    Ok(area)
}

fn a_split_by_mprotect() -> Result<(), Failed> {
    let area = huge_leaf()?;
    let address = format!("{:#x}", area.range().start);
    let mut command = walkprobe();
    command.args(["why", &address, "--json", "-p", &process::id().to_string()]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn()?;
    let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
    let told = while_it_runs(&area, &child, &mut out);
    kill_process(Pid::from_child(&child), Signal::INT)?;
    let mut rest = String::new();
    out.read_to_string(&mut rest)?;
    let ended = wait(child)?;
    let mut lines = told?;
    lines.push_str(&rest);
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    check(&lines)
}

/// Waits for the beginning, splits the leaf, and waits until that is told.
fn while_it_runs(
    area: &Area,
    child: &Child,
    out: &mut BufReader<ChildStdout>,
) -> Result<String, Failed> {
    let mut lines = String::new();
    out.read_line(&mut lines)?;
    ensure(lines.contains("standing"), || format!("{} said {lines:?}", child.id()))?;
    area.protect(PAGE..2 * PAGE, libc::PROT_READ)?;
    while !lines.contains("\"pmd_split\"") {
        ensure(out.read_line(&mut lines)? > 0, || format!("it ended: {lines}"))?;
    }
    Ok(lines)
}

/// A split by this process, of a huge leaf.
fn check(lines: &str) -> Result<(), Failed> {
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let [first, .., last] = &lines[..] else { return Err("too few lines".into()) };
    let split =
        lines.iter().find(|line| line["cause"] == "pmd_split" && line["kind"] == "transaction");
    let split = split.ok_or_else(|| format!("no split: {lines:?}"))?;
    let change = &split["changes"][0];
    ensure(
        first["state"] == "2M"
            && split["by"] == "itself"
            && (&change["before"], &change["after"], &change["bytes"])
                == (&"2M".into(), &"4K".into(), &PMD.into())
            && (&last["state"], &last["was"], &last["cause"], &last["source"])
                == (&"4K".into(), &"2M".into(), &"pmd_split".into(), &"scanned".into()),
        || format!("{lines:?}"),
    )
}

fn a_trace_tells_the_same() -> Result<(), Failed> {
    let area = huge_leaf()?;
    let file = scratch("why.jsonl");
    let pid = process::id().to_string();
    let mut command = walkprobe();
    command.args(["trace", "--maps", "-p", &pid, "-o"]).arg(&file);
    let tracer = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let tracer = tracer.spawn()?;
    let begun = until("the first reading", || {
        fs::read_to_string(&file).is_ok_and(|text| text.contains("\"reading\"")).then_some(())
    });
    let acted = begun.and_then(|()| Ok(area.protect(PAGE..2 * PAGE, libc::PROT_READ)?));
    kill_process(Pid::from_child(&tracer), Signal::INT)?;
    let ended = wait(tracer)?;
    acted?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    let address = format!("{:#x}", area.range().start);
    let mut why = walkprobe();
    why.args(["why", &address, "--json", "-p", &pid, "--from"]).arg(&file);
    let ended = run(&mut why)?;
    fs::remove_file(&file)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    check(&ended.stdout)
}

/// A shell waits for a line, becomes another program, and that ends; then there is nothing more to watch.
fn exec_and_exit() -> Result<(), Failed> {
    let mut shell = Command::new("sh")
        .args(["-c", "read line; exec sleep 1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let told = while_a_shell_ends(&mut shell);
    // Fails when it has ended, as it should.
    let _ = shell.kill();
    shell.wait()?;
    let lines: Vec<Value> = told?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let causes = |name: &str| {
        lines.iter().any(|line| {
            line["kind"] == "transaction" && line["cause"] == name && line["by"] == "itself"
        })
    };
    ensure(causes("exec") && causes("exit"), || format!("{lines:?}"))
}

fn while_a_shell_ends(shell: &mut Child) -> Result<String, Failed> {
    let pid = shell.id().to_string();
    let mut command = walkprobe();
    // Whole address spaces come and go.
    command.args(["why", "0x1000-0x7ffffffff000", "--json", "-p", &pid]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn()?;
    let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut lines = String::new();
    out.read_line(&mut lines)?;
    shell.stdin.take().ok_or("no input")?.write_all(b"\n")?;
    out.read_to_string(&mut lines)?;
    let ended = wait(child)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    Ok(lines)
}
