//! `cargo xtask kernels`: which kernels can be had and which are cached; fetches them.

use anyhow::Result;
use probe_lab::fetch::{kernels, series};

use crate::context::Context;
use crate::{cli, say};

/// Lists all series, or fetches those asked for.
pub(crate) fn run(cx: &Context, options: &cli::Kernels) -> Result<()> {
    match options.fetch.as_deref() {
        None => list(cx),
        Some("all") => {
            for series in series::ALL {
                kernels::refresh(&cx.cache, series)?;
            }
        }
        Some(series) => {
            kernels::refresh(&cx.cache, series)?;
        }
    }
    Ok(())
}

fn list(cx: &Context) {
    let newest = kernels::newest(&cx.cache).unwrap_or_else(|error| {
        say::note(format_args!("only cached kernels are known: {:#}", anyhow::Error::from(error)));
        Vec::new()
    });
    say::result(format_args!("{:8} {:24} {:24} release", "series", "to be had", "cached"));
    for (number, series) in series::ALL.iter().enumerate() {
        let newest = newest.get(number).and_then(Option::as_ref);
        let cached = kernels::cached(&cx.cache, series);
        let release = cached.as_ref().map(|kernel| kernel.release.clone());
        say::result(format_args!(
            "{series:8} {:24} {:24} {}",
            newest.map_or("-", |kernel| &kernel.version),
            cached.as_ref().map_or("-", |kernel| &kernel.version),
            release.or(newest.map(|kernel| kernel.release.clone())).unwrap_or_default()
        ));
    }
}
