//! The checks that need no particular kernel.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::stage;
use super::tally::{Counted, Tally};
use crate::context::Context;
use crate::{build_ebpf, exec, fuzz, say, setup};

/// Tells the tests of reports which Chromium to use.
const BROWSER_VARIABLE: &str = "WALKPROBE_CHROMIUM";

/// Format, lints, then unit, snapshot and doc tests.
pub(super) fn run(cx: &Context, tally: &Tally) {
    stage(tally, "format", || {
        exec::visible(cx.workspace.cargo().args(["fmt", "--all", "--check"]))
    });
    // The object is embedded by what comes next.
    stage(tally, "eBPF object", || build_ebpf::ensure(cx).map(drop));
    stage(tally, "lints of the eBPF programs", || {
        let mut cargo = build_ebpf::cargo(cx, "clippy")?;
        exec::visible(cargo.args(["--quiet", "--release", "--", "-D", "warnings"]))
    });
    stage(tally, "lints", || {
        let mut cargo = cx.workspace.cargo();
        exec::visible(cargo.args(["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]))?;
        // What cargo does not count among all targets, because `cargo test` does not run it.
        let mut cargo = cx.workspace.cargo();
        cargo.args([
            "clippy",
            "--quiet",
            "--package",
            "walkprobe",
            "--test",
            "guest",
            "--test",
            "browser",
            "--test",
            "lab",
        ]);
        exec::visible(cargo.args(["--", "-D", "warnings"]))
    });
    let mut cargo = cx.workspace.cargo();
    cargo.args(["test", "--no-fail-fast"]);
    tests(tally, "unit, snapshot and doc tests", "", &mut cargo);
    reports(cx, tally);
    stage(tally, "a minute of fuzzing", || fuzz::shortly(cx));
}

/// Reports in a browser.
fn reports(cx: &Context, tally: &Tally) {
    match setup::chromium(cx) {
        Ok(chromium) => {
            let mut cargo = cx.workspace.cargo();
            cargo.args(["test", "--package", "walkprobe", "--test", "browser"]);
            cargo.env(BROWSER_VARIABLE, chromium);
            tests(tally, "reports in Chromium", "", &mut cargo);
        }
        Err(error) => tally.fail(format!("reports in Chromium: {error:#}")),
    }
}

/// Runs a program that prints a line for each test, and counts them.
pub(super) fn tests(tally: &Tally, what: &str, shown_before: &str, command: &mut Command) {
    let failed_before = tally.failed();
    let outcome = say::plain_step(what, || count(tally, what, shown_before, command));
    match outcome {
        // Tests that could not even be built fail as one.
        Ok(false) if tally.failed() == failed_before => {
            tally.fail(format!("{what}: `{}` failed", exec::shown(command)));
        }
        Ok(_) => {}
        Err(error) => tally.fail(format!("{what}: {error:#}")),
    }
}

fn count(tally: &Tally, what: &str, shown_before: &str, command: &mut Command) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", exec::shown(command)))?;
    let mut counted = Counted::new(tally, what, Some(shown_before));
    if let Some(mut stdout) = child.stdout.take() {
        io::copy(&mut stdout, &mut counted)?;
        counted.flush()?;
    }
    drop(counted);
    Ok(child.wait()?.success())
}
