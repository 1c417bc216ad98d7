//! What times the calls, and how it is started and stopped.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{functions::Functions, graph, load::Calls, watchers};

/// What walkprobe is told.
pub(crate) const WALKS: [&str; 4] = ["walks", "--walker", "smaps", "--json"];

/// One that times calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Nothing,
    /// [`WALKS`].
    Walkprobe,
    /// [`script`].
    Bpftrace,
    /// function_graph of ftrace.
    Graph,
}

/// How often bpftrace is started.
const TRIES: usize = 4;

/// The settings that take turns.
pub(crate) const ALL: [Tool; 4] = [Tool::Nothing, Tool::Walkprobe, Tool::Bpftrace, Tool::Graph];

/// A running one, attached.
pub(crate) struct Running {
    tool: Tool,
    child: Option<(Child, JoinHandle<String>)>,
    /// How long it took until it was attached.
    pub(crate) attached: Duration,
}

/// What it counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    Nothing,
    Both(Calls),
    /// It does not tell the functions apart.
    Sum(u64),
}

/// The two functions, the generic one first.
pub(crate) fn functions() -> Result<Functions> {
    let report = walks(&["walks", "--walker", "smaps", "--duration", "0.01", "--json"])?;
    let smaps = &report["walkers"][0];
    let name = |path: &str| {
        let name = smaps[path]["functions"][0].as_str();
        Some(("fentry".to_owned(), name?.to_owned()))
    };
    let both = [name("generic"), name("hugetlb")].into_iter().collect::<Option<Vec<_>>>();
    Ok(Functions { all: both.context("smaps has not both functions on this kernel")? })
}

/// walkprobe attached to all walkers: to how many functions, how long that took, and its peak of memory in KiB.
pub(crate) struct Whole {
    pub(crate) functions: usize,
    pub(crate) attached: Duration,
    pub(crate) memory: u64,
}

pub(crate) fn attach_all() -> Result<Whole> {
    let start = Instant::now();
    let (child, stdout, stderr) = spawn(&watchers::walkprobe()?, &["walks", "--json"])?;
    first_line(stderr)?;
    let attached = start.elapsed();
    let rest = std::thread::spawn(move || text(stdout));
    let memory = memory(child.id())?;
    let report: Value = serde_json::from_str(&end(child, rest)?)?;
    let walkers = report["walkers"].as_array().context("no walkers")?;
    let watched = walkers.iter().flat_map(|walker| [&walker["generic"], &walker["hugetlb"]]);
    let watched =
        watched.filter(|served| ["watched", "untold"].iter().any(|w| served["service"] == *w));
    let names: std::collections::BTreeSet<&str> = watched
        .flat_map(|served| served["functions"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    Ok(Whole { functions: names.len(), attached, memory })
}

impl Tool {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Walkprobe => "walkprobe walks",
            Self::Bpftrace => "bpftrace",
            Self::Graph => "function_graph",
        }
    }

    /// Starts it, and waits until it is attached.
    pub(crate) fn start(self, functions: &Functions) -> Result<Running> {
        functions.wait(false)?;
        let start = Instant::now();
        let (child, attached) = match self {
            Self::Nothing => (None, Duration::ZERO),
            Self::Graph => {
                let names: Vec<String> =
                    functions.all.iter().map(|(_, name)| name.clone()).collect();
                graph::start(&names)?;
                (None, start.elapsed())
            }
            Self::Walkprobe => {
                let (child, stdout, stderr) = spawn(&watchers::walkprobe()?, &WALKS)?;
                first_line(stderr)?;
                let attached = start.elapsed();
                (Some((child, std::thread::spawn(move || text(stdout)))), attached)
            }
            Self::Bpftrace => {
                let (child, stdout, attached) = bpftrace(functions)?;
                (Some((child, std::thread::spawn(move || text(stdout)))), attached)
            }
        };
        Ok(Running { tool: self, child, attached })
    }
}

impl Running {
    /// The peak of its memory, in KiB; `None` for what is no process.
    pub(crate) fn memory(&mut self) -> Result<Option<u64>> {
        self.child.as_ref().map(|(child, _)| memory(child.id())).transpose()
    }

    /// Ends it, waits until nothing is attached any more, and gives what it counted.
    pub(crate) fn stop(self, functions: &Functions) -> Result<Counted> {
        let output = self.child.map(|(child, rest)| end(child, rest)).transpose()?;
        let output = output.unwrap_or_default();
        let counted = match self.tool {
            Tool::Nothing => Counted::Nothing,
            Tool::Graph => Counted::Sum(graph::stop()?),
            Tool::Walkprobe => Counted::Both(of_walkprobe(&serde_json::from_str(&output)?)),
            Tool::Bpftrace => Counted::Both(of_bpftrace(&output)),
        };
        functions.wait(false)?;
        Ok(counted)
    }
}

/// Starts the script, and waits until it says something: then all of it is attached.
///
/// bpftrace now and then does not find a function that it found before: it gets another try.
fn bpftrace(functions: &Functions) -> Result<(Child, BufReader<ChildStdout>, Duration)> {
    let script = script(functions);
    for _ in 0..TRIES {
        let start = Instant::now();
        let mut command = command(&watchers::bpftrace()?, &["-f", "json", "-e", &script])?;
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        while stdout.read_line(&mut line)? > 0 {
            if line.contains("ready") {
                return Ok((child, stdout, start.elapsed()));
            }
        }
        child.wait()?;
        std::thread::sleep(Duration::from_secs(1));
    }
    bail!("bpftrace did not attach, {TRIES} times")
}

fn of_walkprobe(report: &Value) -> Calls {
    let of = |path: &str| {
        let rows = report["walkers"][0]["rows"].as_array().into_iter().flatten();
        rows.filter(|row| row["path"] == path).filter_map(|row| row["calls"].as_u64()).sum()
    };
    Calls { generic: of("generic"), hugetlb: of("hugetlb") }
}

/// The sums of both histograms.
fn of_bpftrace(output: &str) -> Calls {
    let values: Vec<Value> =
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |map: &str| {
        let buckets = values.iter().filter_map(|value| value["data"][map].as_array()).flatten();
        buckets.filter_map(|bucket| bucket["count"].as_u64()).sum()
    };
    Calls { generic: of("@generic"), hugetlb: of("@hugetlb") }
}

/// A histogram of the durations of each function, as people write it. By what it says ten times a second one knows that
/// all of it is attached.
pub(crate) fn script(functions: &Functions) -> String {
    let both = functions.all.iter().zip(["generic", "hugetlb"]);
    let probes = both.map(|((_, function), map)| {
        format!(
            "fentry:vmlinux:{function} {{ @{map}_start[tid] = nsecs; }}\n\
             fexit:vmlinux:{function} /@{map}_start[tid]/ {{\n  \
             @{map} = hist(nsecs - @{map}_start[tid]);\n  delete(@{map}_start[tid]);\n}}\n"
        )
    });
    probes.collect::<String>() + "interval:ms:100 { printf(\"ready\\n\"); }"
}

fn walks(arguments: &[&str]) -> Result<Value> {
    let (child, stdout, _stderr) = spawn(&watchers::walkprobe()?, arguments)?;
    let output = text(stdout);
    let _ = child.wait_with_output()?;
    serde_json::from_str(&output).context("walkprobe walks")
}

type Streams = (Child, BufReader<ChildStdout>, BufReader<ChildStderr>);

fn spawn(words: &[String], arguments: &[&str]) -> Result<Streams> {
    let mut command = command(words, arguments)?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = BufReader::new(child.stdout.take().context("no standard output")?);
    let stderr = BufReader::new(child.stderr.take().context("no standard error")?);
    Ok((child, stdout, stderr))
}

fn command(words: &[String], arguments: &[&str]) -> Result<Command> {
    let [program, first @ ..] = words else { bail!("no program") };
    let mut command = Command::new(program);
    command.args(first).args(arguments).stdin(Stdio::null());
    Ok(command)
}

/// What walkprobe says when it is attached.
fn first_line(mut stderr: BufReader<ChildStderr>) -> Result<()> {
    let mut line = String::new();
    stderr.read_line(&mut line)?;
    if !line.contains("counting") {
        bail!("walkprobe walks said `{}`", line.trim());
    }
    Ok(())
}

fn text(mut stream: BufReader<ChildStdout>) -> String {
    let mut text = String::new();
    // What came until the stream broke is what there is.
    let _ = stream.read_to_string(&mut text);
    text
}

fn end(mut child: Child, rest: JoinHandle<String>) -> Result<String> {
    kill_process(Pid::from_child(&child), Signal::INT)?;
    child.wait()?;
    rest.join().map_err(|_| anyhow::anyhow!("the thread that reads panicked"))
}

/// `VmHWM`, in KiB (Documentation/filesystems/proc.rst).
fn memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok()).context("no VmHWM")
}
