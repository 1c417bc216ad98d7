//! Processes that come later: children of those that are traced, programs with a name, and members of a cgroup. None is
//! missed, and none of others is taken.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use walkprobe::{
    change::Change,
    event::{Detail, Event},
    input::Input,
    trace::open::open,
};

use crate::{
    child::until,
    need,
    run::{Trace, ensure, note, run, scratch, wait, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    let lack = need::a_guest("it needs functions to be probed");
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        Trial::test(format!("recording::follow_{name}"), test)
            .with_ignored_flag(lack.is_some())
            .with_kind(lack.clone().unwrap_or_default())
    };
    vec![
        trial("children_of_children", children_of_children),
        trial("nobody_without_follow", nobody_without_follow),
        trial("a_name", a_name),
        trial("a_cgroup", a_cgroup),
        trial("maps_of_children", maps_of_children),
    ]
}

/// Two shells, one after the other, each of which starts five programs, and waits for each.
const SCRIPT: &str = "for one in 1 2; do \
    sh -c 'for two in 1 2 3 4 5; do \"$0\" --version > /dev/null; done; :' \"$0\"; done; :";

/// Programs that are started: two shells, and ten that they start.
const PROGRAMS: usize = 12;

/// How often it is tried: where the kernel can be preempted, it may not show each call.
const RUNS: usize = 5;

/// Programs begun, and ends of address spaces, by process.
fn by_process(events: &[Event]) -> BTreeMap<u32, (u64, u64)> {
    let mut by_process: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for event in events {
        let Some(pid) = event.pid else { continue };
        let counts = by_process.entry(pid).or_default();
        match event.detail {
            Detail::Change(Change::Exec { errno: 0 }) => counts.0 += 1,
            Detail::Change(Change::Exit) => counts.1 += 1,
            _ => {}
        }
    }
    by_process
}

/// Runs a trace until the kernel has shown it each call, and nobody else was the last to let an address space go.
fn complete(trace: impl Fn() -> Result<Trace, Failed>) -> Result<Trace, Failed> {
    for _ in 0..RUNS {
        let trace = trace()?;
        ensure(trace.footer["lost"] == 0, || format!("lost: {}", trace.footer))?;
        let others =
            by_process(&trace.events).into_values().filter(|counts| *counts == (1, 0)).count();
        if trace.footer["missed"] == 0 && others == 0 {
            return Ok(trace);
        }
        note(&format!(
            "the kernel did not show {} calls, and not to whom {others} ends belong: once more",
            trace.footer["missed"]
        ));
    }
    Err("the kernel did not show all calls, each time".into())
}

fn shell(options: &[&str]) -> Result<Trace, Failed> {
    let file = scratch("follow.jsonl");
    let mut command = walkprobe();
    command.arg("trace").args(options).args(["--events", "fault,vma,change", "-o"]).arg(&file);
    command.args(["--", "sh", "-c", SCRIPT]).arg(walkprobe().get_program());
    let ended = run(&mut command)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    let text = fs::read_to_string(&file)?;
    fs::remove_file(&file)?;
    Trace::parse(&text)
}

fn children_of_children() -> Result<(), Failed> {
    let trace = complete(|| shell(&["--follow"]))?;
    let processes = by_process(&trace.events);
    let own = trace.header["pids"][0].as_u64().ok_or("no PID")?;
    // Each begins one program and has an end; the first shell too.
    let begun = processes.values().filter(|(execs, _)| *execs == 1).count();
    let ended = processes.values().filter(|(_, exits)| *exits >= 1).count();
    let all = PROGRAMS + 1;
    let is_own = processes.keys().any(|&pid| u64::from(pid) == own);
    ensure(begun == all && ended == all && processes.len() == all && is_own, || {
        format!("{PROGRAMS} programs, and {processes:?}")
    })?;
    // What a child does before it becomes another program is told too: after a fork, it writes to its stack.
    let before = |pid: u32| {
        let events: Vec<&Event> = trace.events.iter().filter(|one| one.pid == Some(pid)).collect();
        events.first().is_some_and(|first| first.by.pid == pid && first.by.comm == "sh")
    };
    let children = processes.keys().filter(|&&pid| u64::from(pid) != own);
    let late: Vec<u32> = children.copied().filter(|&pid| !before(pid)).collect();
    ensure(late.is_empty(), || format!("the first instructions of {late:?} are missing"))
}

fn nobody_without_follow() -> Result<(), Failed> {
    let trace = shell(&[])?;
    let pids: Vec<u32> = by_process(&trace.events).into_keys().collect();
    ensure(pids.len() == 1 && trace.header["pids"][0] == pids[0], || format!("{pids:?}"))
}

/// A trace that runs while something happens; ended when dropped.
struct Tracer {
    child: Option<Child>,
    file: PathBuf,
}

impl Tracer {
    fn begin(name: &str, options: &[&str]) -> Result<Self, Failed> {
        let file = scratch(name);
        let mut command = walkprobe();
        command.arg("trace").args(options).args(["--events", "vma,change", "-o"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let tracer = Self { child: Some(command.spawn()?), file };
        // The header is written when everything is attached.
        until("the header", || {
            fs::read(&tracer.file).is_ok_and(|text| text.ends_with(b"\n")).then_some(())
        })?;
        Ok(tracer)
    }

    fn end(mut self) -> Result<Trace, Failed> {
        let child = self.child.take().ok_or("it has ended")?;
        kill_process(Pid::from_child(&child), Signal::INT)?;
        let ended = wait(child)?;
        ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
        Trace::parse(&fs::read_to_string(&self.file)?)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails when it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        // It is not there when it was not begun.
        let _ = fs::remove_file(&self.file);
    }
}

/// A program of another name, which nobody else has.
fn a_name() -> Result<(), Failed> {
    let program = scratch("named");
    let name = program.file_name().and_then(|name| name.to_str()).ok_or("no name")?.to_owned();
    let binary = walkprobe().get_program().to_owned();
    fs::copy(which(Path::new(&binary)), &program)?;
    let outcome = complete(|| {
        let tracer = Tracer::begin("name.jsonl", &["--comm", &name])?;
        for program in [program.as_os_str(), binary.as_os_str()].repeat(5) {
            ensure(run(Command::new(program).arg("--version"))?.code() == Some(0), String::new)?;
        }
        tracer.end()
    });
    fs::remove_file(&program)?;
    let trace = outcome?;
    let processes = by_process(&trace.events);
    let ended = processes.values().filter(|(_, exits)| *exits == 1).count();
    let short = &name[..name.len().min(15)];
    let is_named = trace.events.iter().all(|event| event.by.comm == short);
    ensure(processes.len() == 5 && ended == 5 && is_named, || format!("{short}: {processes:?}"))
}

/// Where a program is that is found by its name.
fn which(program: &Path) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).map(|folder| folder.join(program));
    folders.find(|path| path.is_file()).unwrap_or_else(|| program.to_owned())
}

/// A cgroup of its own, gone when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Result<Self, Failed> {
        let root = Path::new("/sys/fs/cgroup");
        if !root.join("cgroup.procs").exists() {
            let mut mount = Command::new("mount");
            let ended = run(mount.args(["-t", "cgroup2", "none"]).arg(root))?;
            ensure(ended.code() == Some(0), || ended.stderr.clone())?;
        }
        let path = root.join("walkprobe-test");
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It has members when the test failed, and ends with the guest.
        let _ = fs::remove_dir(&self.0);
    }
}

fn a_cgroup() -> Result<(), Failed> {
    let cgroup = Cgroup::new()?;
    let members = cgroup.0.join("cgroup.procs");
    let trace = complete(|| {
        let tracer = Tracer::begin("cgroup.jsonl", &["--cgroup", "/walkprobe-test"])?;
        // It comes into the cgroup, is found there, and then starts five programs; another one does the same outside.
        let inside = "echo $$ > \"$1\"; sleep 1; for one in 1 2 3 4 5; do \"$0\" --version > /dev/null; done; :";
        let outside = "sleep 1; for one in 1 2 3 4 5; do \"$0\" --version > /dev/null; done; :";
        for script in [inside, outside] {
            let mut shell = Command::new("sh");
            let ended =
                run(shell.args(["-c", script]).arg(walkprobe().get_program()).arg(&members))?;
            ensure(ended.code() == Some(0), || ended.stderr.clone())?;
        }
        tracer.end()
    })?;
    let processes = by_process(&trace.events);
    let children = processes.values().filter(|counts| counts.0 == 1).count();
    // The five, perhaps the first `sleep`, if the shell was found before that, and the shell.
    ensure((5..=6).contains(&children) && processes.len() <= 7, || format!("{processes:?}"))
}

/// The maps of children are kept from the moment on that they are found.
fn maps_of_children() -> Result<(), Failed> {
    let file = scratch("children.jsonl.zst");
    let mut command = walkprobe();
    command.args(["trace", "--follow", "--maps", "--events", "fault,change,vma", "-o"]).arg(&file);
    let ended = run(command.args(["--", "sh", "-c", "sleep 9 & sleep 9; wait"]))?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    let mut reader = open(&file).map_err(|error| format!("{error:#}"))?;
    let mut names = BTreeMap::new();
    while let Some(input) = reader.next_input()? {
        if let Input::Reading(reading) = input {
            names.insert(reading.pid, reading.comm);
        }
    }
    fs::remove_file(&file)?;
    let sleeping = names.values().filter(|comm| *comm == "sleep").count();
    ensure(sleeping == 2 && names.len() == 3, || format!("{names:?}"))?;
    Ok(())
}
