//! Writing, reading and replaying long traces: `cargo xtask bench trace`. Prints a table in Markdown.
//!
//! Each measurement is a process of its own, which says what it took: its peak of memory is its own too.

mod inputs;
mod work;

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use self::work::{Task, Took};

/// Events of a short trace and of a long one.
const LENGTHS: [u64; 2] = [1_000_000, 10_000_000];

/// What the events per second should be, at least.
const WANTED: [(Task, f64); 3] = [(Task::Write, 1e6), (Task::Read, 2e6), (Task::Replay, 2e6)];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    match &arguments[..] {
        [task, file, events] => {
            let took = Task::named(task)?.run(Path::new(file), events.parse()?)?;
            Ok(writeln!(io::stdout(), "{}", took.words())?)
        }
        _ => measure(),
    }
}

fn measure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "| | file | events | events per CPU second | MB of JSON Lines per CPU second | peak of memory |"
    )?;
    writeln!(out, "|---|---|--:|--:|--:|--:|")?;
    let mut missed = Vec::new();
    for name in ["trace.jsonl", "trace.jsonl.zst"] {
        let file = folder.path().join(name);
        for (task, wanted) in WANTED {
            for events in LENGTHS {
                // A long trace takes the place of the short one, which is written again where it is needed.
                if task != Task::Write {
                    apart(Task::Write, &file, events)?;
                }
                let took = apart(task, &file, events)?;
                let is_enough = took.rate(events) >= wanted;
                writeln!(out, "{}", row(task, name, events, &took, is_enough))?;
                if !is_enough && !missed.contains(&task.name()) {
                    missed.push(task.name());
                }
            }
        }
    }
    let verdict = match &missed[..] {
        [] => "So all that was wanted is reached.".to_owned(),
        missed => format!("So what was wanted is **not reached** here by: {}.", missed.join(", ")),
    };
    Ok(writeln!(out, "\n{verdict}")?)
}

/// In a process of its own.
fn apart(task: Task, file: &Path, events: u64) -> Result<Took> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(task.name()).arg(file).arg(events.to_string());
    let output = command.stderr(Stdio::inherit()).output().context("cannot start a process")?;
    ensure!(output.status.success(), "{} ended with {}", task.name(), output.status);
    Took::parse(&String::from_utf8_lossy(&output.stdout))
}

fn row(task: Task, name: &str, events: u64, took: &Took, is_enough: bool) -> String {
    let (rate, bytes) = (took.rate(events), took.rate(took.bytes) / 1e6);
    let verdict = if is_enough { "" } else { " (too few)" };
    format!(
        "| {} | `{}` | {} M | {:.2} M{verdict} | {bytes:.0} | {} MiB |",
        task.name(),
        name.trim_start_matches("trace"),
        events / 1_000_000,
        rate / 1e6,
        took.peak_kib >> 10,
    )
}
