//! What records each page fault of a process as a line of a file, and how many it lost by its own account.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use walkprobe::trace::open::open;

use super::{functions::Functions, watchers};

/// What is probed: it does every page fault.
const FUNCTION: &str = "handle_mm_fault";

const TRACEFS: &str = "/sys/kernel/tracing";
/// The event of trace_pipe.
const EVENT: &str = "walkprobe_bench_fault";

/// How long each may rest when it is attached.
const SETTLE: Duration = Duration::from_millis(500);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a header may take, and trace_pipe's reader for what is left.
const PATIENCE: Duration = Duration::from_secs(20);

/// One way to record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorder {
    /// `walkprobe trace`.
    Walkprobe,
    /// A printf of bpftrace.
    Bpftrace,
    /// A kprobe event of tracefs, and `cat trace_pipe`.
    TracePipe,
}

/// What was recorded.
pub(crate) struct Recorded {
    /// Lines of faults.
    pub(crate) lines: u64,
    /// Faults that are missing by its own account.
    pub(crate) lost: u64,
}

/// One that records now.
pub(crate) struct Recording {
    recorder: Recorder,
    child: Child,
    file: PathBuf,
}

impl Recorder {
    pub(crate) const ALL: [Self; 3] = [Self::Walkprobe, Self::Bpftrace, Self::TracePipe];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Walkprobe => "`walkprobe trace --events fault -o FILE.jsonl`",
            Self::Bpftrace => "bpftrace, `printf` to a file",
            Self::TracePipe => "`cat trace_pipe` to a file",
        }
    }

    /// Starts it, and waits until it is attached.
    pub(crate) fn start(self, pid: u32) -> Result<Recording> {
        let file = env::temp_dir().join("faults.jsonl");
        fs::create_dir_all(env::temp_dir())?;
        let (words, stdout) = match self {
            Self::Walkprobe => {
                let options = format!("trace --events fault -p {pid} -o {}", file.display());
                let options = options.split(' ').map(str::to_owned).collect();
                ([watchers::walkprobe()?, options].concat(), Stdio::null())
            }
            Self::Bpftrace => {
                let script = format!(
                    "fentry:vmlinux:{FUNCTION} /pid == {pid}/ {{ printf(\"fault %llu %d %d %s %llx %x\\n\", \
                     nsecs, pid, tid, comm, args.address, args.flags) }}"
                );
                let options =
                    ["-o".to_owned(), file.display().to_string(), "-e".to_owned(), script];
                ([watchers::bpftrace()?, options.to_vec()].concat(), Stdio::null())
            }
            Self::TracePipe => {
                set(&format!("events/kprobes/{EVENT}/enable"), "0").ok();
                set("trace", "")?;
                set("kprobe_events", &format!("p:{EVENT} {FUNCTION} address=%si flags=%dx:x32"))?;
                set(&format!("events/kprobes/{EVENT}/filter"), &format!("common_pid == {pid}"))?;
                let pipe = format!("{TRACEFS}/trace_pipe");
                (vec!["cat".to_owned(), pipe], Stdio::from(File::create(&file)?))
            }
        };
        let mut command = watchers::command(&words);
        let errors = File::create(errors(&file))?;
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(errors).spawn();
        let child = child.with_context(|| format!("cannot start {}", words.join(" ")))?;
        if self == Self::TracePipe {
            set(&format!("events/kprobes/{EVENT}/enable"), "1")?;
        }
        function().wait(true)?;
        if self == Self::Walkprobe {
            // The end of the function is probed before its beginning; the header comes after both.
            let start = Instant::now();
            while fs::metadata(&file).map_or(0, |file| file.len()) == 0 {
                ensure!(start.elapsed() < PATIENCE, "walkprobe writes no header");
                std::thread::sleep(PAUSE);
            }
        }
        std::thread::sleep(SETTLE);
        Ok(Recording { recorder: self, child, file })
    }
}

impl Recording {
    /// Ends it; gives what it has recorded.
    pub(crate) fn end(mut self) -> Result<Recorded> {
        let mut lost = 0;
        if self.recorder == Recorder::TracePipe {
            set(&format!("events/kprobes/{EVENT}/enable"), "0")?;
            lost = drained()?;
        }
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        self.child.wait()?;
        function().wait(false)?;
        let recorded = match self.recorder {
            Recorder::Walkprobe => {
                let mut reader = open(&self.file)?;
                while reader.next_input()?.is_some() {}
                let footer = reader.footer().context("the trace has no footer")?;
                Recorded { lines: footer.events, lost: footer.lost + footer.missed }
            }
            Recorder::Bpftrace => {
                let said = fs::read_to_string(errors(&self.file))?;
                Recorded { lines: lines(&self.file, "fault ")?, lost: told(&said) }
            }
            Recorder::TracePipe => {
                set("kprobe_events", "")?;
                Recorded { lines: lines(&self.file, EVENT)?, lost }
            }
        };
        fs::remove_file(&self.file)?;
        Ok(recorded)
    }
}

fn function() -> Functions {
    Functions { all: vec![("fentry".to_owned(), FUNCTION.to_owned())] }
}

fn errors(file: &Path) -> PathBuf {
    file.with_extension("errors")
}

fn set(file: &str, value: &str) -> Result<()> {
    let path = Path::new(TRACEFS).join(file);
    fs::write(&path, value).with_context(|| format!("cannot write {}", path.display()))
}

/// Waits until trace_pipe has been read; gives the events that were overwritten or found no room, of all CPUs.
fn drained() -> Result<u64> {
    let start = Instant::now();
    loop {
        let (mut left, mut lost) = (0, 0);
        for cpu in fs::read_dir(Path::new(TRACEFS).join("per_cpu"))? {
            let stats = fs::read_to_string(cpu?.path().join("stats"))?;
            let count = |name: &str| -> u64 {
                let line = stats.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
            };
            left += count("entries:");
            lost +=
                ["overrun:", "commit overrun:", "dropped events:"].map(count).iter().sum::<u64>();
        }
        if left == 0 {
            return Ok(lost);
        }
        ensure!(start.elapsed() < PATIENCE, "trace_pipe still has {left} events");
        std::thread::sleep(PAUSE);
    }
}

/// What bpftrace says: `Lost 123 events`.
fn told(said: &str) -> u64 {
    let numbers = said.lines().filter_map(|line| line.split("Lost ").nth(1)?.split(' ').next());
    numbers.filter_map(|number| number.parse::<u64>().ok()).sum()
}

/// How many lines have a word.
fn lines(file: &Path, word: &str) -> Result<u64> {
    let mut number = 0;
    for line in BufReader::new(File::open(file)?).lines() {
        number += u64::from(line?.contains(word));
    }
    Ok(number)
}
