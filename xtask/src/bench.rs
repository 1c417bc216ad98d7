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

Made by `cargo xtask bench scan`, as root, on a machine that does little else; do not edit. All readers take turns on the
same areas of one process, each with its own data in the caches, so compare within a row. What they tell:

| reader | facts |
|---|---|
| scan | runs of leaf size and kind, by VMA |
| scan with marks | how many leaves of each run are young, dirty, soft-dirty, writable, write-protected by userfaultfd, too |
| scan with folios | the order of the folios, too |
| PAGEMAP_SCAN, cheapest | regions that are present and huge, by `category_mask`: nothing else |
| PAGEMAP_SCAN, same facts | regions by present, not present, page of zeroes, huge, guard region |
| PAGEMAP_SCAN, same facts and marks | also by soft-dirty and written since write-protected; young, dirty and writable no reader here can |
| pagemap | an entry for each page, undecoded: no leaf sizes |
| pagemap and kpageflags | also the flags of each frame, undecoded, with one read for each piece of neighbouring frames |
| smaps | sums for each VMA, of the whole process, as text |

";
