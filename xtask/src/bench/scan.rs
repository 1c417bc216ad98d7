//! `cargo xtask bench scan`: runs on this machine, as a bench of cargo's.

use anyhow::{Context as _, Result};

use super::here;
use crate::build_ebpf;
use crate::context::Context;

/// Measures; gives the table.
pub(super) fn run(cx: &Context) -> Result<String> {
    build_ebpf::ensure(cx)?;
    let mut cargo = cx.workspace.cargo();
    cargo.args(["bench", "--quiet", "--package", "walkprobe", "--bench", "scan"]);
    here(&mut cargo).context("cannot measure: it wants root")
}

/// What stands before the table.
pub(super) const HEAD: &str = "\
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
