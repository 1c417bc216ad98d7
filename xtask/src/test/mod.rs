//! `cargo xtask test`: every check there is, and at the end what failed.

mod guests;
mod host;
mod lab;
mod tally;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use probe_lab::fetch::series;

use crate::context::Context;
use crate::say;
use tally::Tally;

/// Options of `test`.
#[derive(Debug, Args)]
#[command(after_help = "\
The last line is `N passed, N failed`; the exit status is 0 when nothing failed.

Examples:
  cargo xtask test
  cargo xtask test --kernels all
  cargo xtask test --no-host --kernels 5.10,7.3")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Options {
    /// The kernels of the guest tests, separated by commas
    #[arg(long, value_name = "all|LIST", default_value_t = series::DEFAULT.join(","))]
    kernels: String,
    /// Leave the checks out that need no kernel: format, lints, unit, snapshot and doc tests
    #[arg(long)]
    no_host: bool,
    /// Leave the guests out
    #[arg(long)]
    no_guest: bool,
    /// Leave the tests of `walkprobe lab` out, which boot guests of their own
    #[arg(long)]
    no_lab: bool,
    /// Leave the tests on this machine's own kernel out, which need root
    #[arg(long)]
    no_native: bool,
    /// Arguments for the guest tests
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// Runs all stages, whatever fails.
pub(crate) fn run(cx: &Context, options: &Options) -> Result<ExitCode> {
    let kernels = kernels(&options.kernels)?;
    let start = Instant::now();
    let tally = Tally::default();
    if !options.no_host {
        host::run(cx, &tally);
    }
    if !options.no_guest || !options.no_native {
        let kernels = if options.no_guest { Vec::new() } else { kernels };
        guests::run(cx, &tally, &kernels, !options.no_native, &options.arguments)?;
    }
    if !options.no_lab {
        lab::run(cx, &tally);
    }
    say::note(format_args!("all of it took {}", say::seconds(start.elapsed())));
    Ok(if tally.report() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A check that is no test: it passes or fails as a whole.
fn stage(tally: &Tally, what: &str, work: impl FnOnce() -> Result<()>) -> bool {
    match say::plain_step(what, work) {
        Ok(()) => {
            tally.pass();
            true
        }
        Err(error) => {
            say::note(format_args!("{error:#}"));
            // The details stand above; the summary has a line for each.
            let reason = format!("{error:#}");
            tally.fail(format!("{what}: {}", reason.lines().next().unwrap_or_default()));
            false
        }
    }
}

fn kernels(list: &str) -> Result<Vec<&str>> {
    if list == "all" {
        return Ok(series::ALL.to_vec());
    }
    let kernels: Vec<&str> =
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = kernels.iter().find(|name| !series::ALL.contains(name)) {
        bail!("no kernel series `{unknown}`; there are {}", series::ALL.join(", "));
    }
    Ok(kernels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_kernels_are_read() {
        assert_eq!(kernels("6.1, 7.2").ok(), Some(vec!["6.1", "7.2"]));
        assert_eq!(kernels("all").ok(), Some(series::ALL.to_vec()));
        assert!(kernels("6.2").is_err());
    }
}
