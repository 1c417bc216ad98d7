//! `cargo xtask bench`: measures, and keeps the table in docs/.

use std::fs;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::{build_ebpf, say};

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// The page-table scan beside PAGEMAP_SCAN, pagemap and smaps, on this kernel; wants root
    Scan,
}

/// Measures, shows the table, and writes it into docs/.
pub(crate) fn run(cx: &Context, options: &Options) -> Result<()> {
    let (bench, document, head) = match options.which {
        Which::Scan => ("scan", "docs/bench-scan.md", SCAN_HEAD),
    };
    build_ebpf::ensure(cx)?;
    let mut cargo = cx.workspace.cargo();
    cargo.args(["bench", "--quiet", "--package", "walkprobe", "--bench", bench]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the benchmark ended with {}; it wants root", output.status);
    }
    let table = String::from_utf8(output.stdout).context("the benchmark printed no text")?;
    say::result(&table);
    let file = cx.workspace.root.join(document);
    fs::write(&file, format!("{head}{table}"))
        .with_context(|| format!("cannot write {}", file.display()))
}

const SCAN_HEAD: &str = "\
# The page-table scan beside the kernel's own interfaces

Made by `cargo xtask bench scan`, as root; do not edit. All readers take turns on the same areas of one process, so compare
within a row. `scan` gives runs of leaf size and kind; `with marks` also counts young, dirty, soft-dirty, writable and
write-protected leaves, which no other reader here can. `same facts` asks PAGEMAP_SCAN for present, swapped, zero page,
huge and soft-dirty. smaps cannot be asked for a part, so its column is that of the whole process.

";
