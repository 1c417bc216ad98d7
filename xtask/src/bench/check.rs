//! `cargo xtask bench check`: boots guests from this machine.

use anyhow::Result;

use super::here;
use crate::build;
use crate::context::Context;

/// Measures; gives the tables.
pub(super) fn run(cx: &Context) -> Result<String> {
    let walkprobe = build::walkprobe(cx)?;
    let mut cargo = cx.workspace.cargo();
    cargo.args(["bench", "--quiet", "--package", "walkprobe", "--bench", "check"]);
    cargo.env("WALKPROBE_BIN", walkprobe).env("WALKPROBE_CACHE", cx.cache.path(""));
    here(&mut cargo)
}

/// What stands before the tables.
pub(super) const HEAD: &str = "\
# How small a change `walkprobe check` finds

Made by `cargo xtask bench check`, with kernel 7.2 and the suite `quick`; do not edit. A function, `pagemap_pmd_range`, is made slower by an eBPF program at its
entry, which goes so many rounds through a loop that does nothing (`walkprobe bench --slow FUNCTION=ROUNDS`, an option that help does not show). The rules are
those that there are without a file: 0.5 % of instructions, 5 % of time, and findings by chance in 1 % of comparisons.

* Instructions: deterministic guests, each booted a little differently. For comparisons of the kernel with itself, two sides of five boots each are drawn from 24, again and again; so
  they are not independent of each other. A row of the table has five boots on each side.
* Time: one guest, in which the suite is run block by block. The kernel is compared with itself by two neighbouring windows of ten runs each, which move on
  run by run. A row of the table has ten runs on each side, one block after the other.

`change` is what was measured of the place that should change: pagemap over THPs, on the generic path. A change that is not told is no error when it is below the threshold.

";
