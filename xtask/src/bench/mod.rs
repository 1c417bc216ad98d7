//! `cargo xtask bench`: measures, and keeps the table in docs/.

mod check;
mod live;
mod measure;
mod scan;
mod trace;
mod walks;

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::say;

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// How small a change `walkprobe check` finds, and how often it finds one where there is none, in guests
    Check,
    /// The page-table scan beside PAGEMAP_SCAN, pagemap and smaps, on this kernel; wants root
    Scan,
    /// What watching costs the watched process, beside a bpftrace script that counts, in a guest
    Live(measure::Options),
    /// What counting walkers costs those who walk, beside bpftrace and function_graph, in a guest
    Walks(measure::Options),
    /// Writing, reading and replaying traces of ten million events, on this machine; and how many events are recorded
    /// before any is lost, beside bpftrace and trace_pipe, in a guest
    Trace(trace::Options),
}

/// Measures, shows the table, and writes it into docs/.
pub(crate) fn run(cx: &Context, options: &Options) -> Result<()> {
    let (document, head, table) = match &options.which {
        Which::Check => ("docs/bench-check.md", check::HEAD.to_owned(), check::run(cx)?),
        Which::Scan => ("docs/bench-scan.md", scan::HEAD.to_owned(), scan::run(cx)?),
        Which::Trace(options) => {
            ("docs/bench-trace.md", trace::HEAD.to_owned(), trace::run(cx, options)?)
        }
        Which::Live(options) => {
            let (head, table) = live::run(cx, options)?;
            ("docs/bench-live.md", head, table)
        }
        Which::Walks(options) => {
            let (head, table) = walks::run(cx, options)?;
            ("docs/bench-walks.md", head, table)
        }
    };
    say::result(&table);
    let file = cx.workspace.root.join(document);
    fs::write(&file, format!("{head}{table}"))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Runs a benchmark on this machine; gives what it printed.
fn here(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().context("cannot start the benchmark")?;
    if !output.status.success() {
        bail!("the benchmark ended with {}", output.status);
    }
    String::from_utf8(output.stdout).context("the benchmark printed no text")
}
