//! The tests of `walkprobe lab`, which boots its guests itself.

use anyhow::Result;
use probe_lab::fetch::{self, kernels, series};

use super::host;
use super::tally::Tally;
use crate::build;
use crate::context::Context;

/// An old kernel, and the one that is the default.
const KERNELS: [&str; 2] = ["6.1", series::NEWEST_DEFAULT];
/// Tell the tests what to test, and on which kernels.
const BINARY_VARIABLE: &str = "WALKPROBE_BIN";
const KERNELS_VARIABLE: &str = "WALKPROBE_LAB_KERNELS";
const CACHE_VARIABLE: &str = "WALKPROBE_CACHE";

/// Builds, fetches what is missing, and runs them.
pub(super) fn run(cx: &Context, tally: &Tally) {
    if let Err(error) = try_to_run(cx, tally) {
        tally.fail(format!("walkprobe lab: {error:#}"));
    }
}

fn try_to_run(cx: &Context, tally: &Tally) -> Result<()> {
    let walkprobe = build::walkprobe(cx)?;
    fetch::qemu(&cx.cache)?;
    fetch::busybox(&cx.cache)?;
    for series in KERNELS {
        kernels::ensure(&cx.cache, series)?;
    }
    let mut cargo = cx.workspace.cargo();
    cargo
        .args(["test", "--package", "walkprobe", "--test", "lab"])
        .env(BINARY_VARIABLE, walkprobe)
        .env(KERNELS_VARIABLE, KERNELS.join(","))
        .env(CACHE_VARIABLE, cx.cache.path(""));
    host::tests(tally, "walkprobe lab", "lab", &mut cargo);
    Ok(())
}
