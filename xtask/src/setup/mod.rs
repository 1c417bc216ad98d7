//! `cargo xtask setup`: everything the other commands need, fetched or built once into the cache.
//!
//! Each part has an `ensure` function that is quick when the part is there; the other commands call those they need.

mod bpftrace;
mod chromium;
mod linker;
mod rust_src;

use std::time::Instant;

use anyhow::Result;
use probe_lab::fetch::{self, kernels, series};

use crate::context::Context;
use crate::say;

pub(crate) use bpftrace::{Bpftrace, ensure as bpftrace};
pub(crate) use chromium::ensure as chromium;
pub(crate) use linker::ensure as linker;
pub(crate) use rust_src::ensure as rust_src;

/// Makes everything available, and says in one line when nothing was missing.
pub(crate) fn run(cx: &Context) -> Result<()> {
    let start = Instant::now();
    rust_src(cx)?;
    linker(cx)?;
    fetch::qemu(&cx.cache)?;
    fetch::busybox(&cx.cache)?;
    chromium(cx)?;
    for series in series::DEFAULT {
        kernels::ensure(&cx.cache, series)?;
    }
    say::note(format_args!("setup: all there ({})", say::seconds(start.elapsed())));
    Ok(())
}
