//! What watches, and how it is started and stopped.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::functions::Functions;

/// What walkprobe is told in order to watch one process; the PID follows.
pub(crate) const WATCH: [&str; 5] = ["top", "--batch", "--interval", "1", "-p"];

/// The settings that take turns.
pub(crate) const ALL: [Option<Kind>; 4] = [
    None,
    Some(Kind::Walkprobe),
    Some(Kind::Bpftrace(Counters::ByName)),
    Some(Kind::Bpftrace(Counters::Together)),
];

/// How often a watcher that says nothing is started.
const TRIES: usize = 4;

/// Where the commands stand: words with spaces between them.
const WALKPROBE_VARIABLE: &str = "WALKPROBE_BIN";
const BPFTRACE_VARIABLE: &str = "WALKPROBE_BPFTRACE";

/// One that watches.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// [`WATCH`].
    Walkprobe,
    /// [`script`].
    Bpftrace(Counters),
}

/// Where a bpftrace script counts.
#[derive(Clone, Copy)]
pub(crate) enum Counters {
    /// A number for each function, by the name of the probe: as people write it.
    ByName,
    /// One number for all functions: the least that can be done.
    Together,
}

/// A running one, attached.
pub(crate) struct Watcher {
    child: Child,
    drain: JoinHandle<()>,
}

impl Kind {
    /// Starts it, and waits until it is attached to all functions.
    pub(crate) fn start(self, functions: &Functions, pid: u32) -> Result<Watcher> {
        let words = match self {
            Self::Walkprobe => {
                let watch = WATCH.map(str::to_owned).into_iter();
                walkprobe()?.into_iter().chain(watch).chain([pid.to_string()]).collect()
            }
            Self::Bpftrace(counters) => {
                [bpftrace()?, vec!["-e".to_owned(), script(functions, counters)]].concat()
            }
        };
        let (child, output) = start(&words)?;
        let drain = std::thread::spawn(move || discard(output));
        functions.wait(true)?;
        Ok(Watcher { child, drain })
    }
}

impl Watcher {
    /// The CPU time of all its threads until now (Documentation/scheduler/sched-stats.rst).
    pub(crate) fn cpu(&mut self) -> Result<Duration> {
        let mut sum = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).context("schedstat")?;
            sum += Duration::from_nanos(ns);
        }
        Ok(sum)
    }

    /// Ends it, and waits until nothing is attached any more.
    pub(crate) fn stop(mut self, functions: &Functions) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT)?;
        self.child.wait()?;
        let _ = self.drain.join();
        functions.wait(false)
    }
}

/// Starts a program, and waits until it says something: the first frame, or what BEGIN prints.
///
/// bpftrace now and then does not find a function that it found before: it gets another try.
fn start(words: &[String]) -> Result<(Child, BufReader<ChildStdout>)> {
    for _ in 0..TRIES {
        let mut child = command(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        if !line.is_empty() {
            return Ok((child, output));
        }
        child.wait()?;
        std::thread::sleep(Duration::from_secs(1));
    }
    bail!("{} said nothing, {TRIES} times", words.join(" "))
}

/// The words that start walkprobe.
pub(crate) fn walkprobe() -> Result<Vec<String>> {
    words(WALKPROBE_VARIABLE)
}

/// The words that start bpftrace.
pub(crate) fn bpftrace() -> Result<Vec<String>> {
    words(BPFTRACE_VARIABLE)
}

/// What a program says that it is.
pub(crate) fn version(words: &[String]) -> Result<String> {
    let output = command(words).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Counts the calls of each function, and does nothing else.
pub(crate) fn script(functions: &Functions, counters: Counters) -> String {
    let probes: Vec<String> = functions
        .all
        .iter()
        .map(|(mechanism, name)| match mechanism.as_str() {
            "fentry" => format!("fentry:vmlinux:{name}"),
            _ => format!("{mechanism}:{name}"),
        })
        .collect();
    let map = match counters {
        Counters::ByName => "@[probe]",
        Counters::Together => "@",
    };
    let probes = probes.join(",\n");
    format!("BEGIN {{ printf(\"begin\\n\"); }}\n{probes} {{ {map} = count(); }}")
}

fn words(variable: &str) -> Result<Vec<String>> {
    let value = std::env::var(variable).with_context(|| format!("{variable} is not set"))?;
    Ok(value.split_whitespace().map(str::to_owned).collect())
}

/// A program and its arguments.
pub(crate) fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn discard(mut output: BufReader<ChildStdout>) {
    let mut buffer = [0; 1 << 12];
    while output.read(&mut buffer).is_ok_and(|length| length > 0) {}
}
