//! `cargo xtask fuzz`: whether any input makes walkprobe fail, hang or take memory without end.
//!
//! libFuzzer, as cargo-fuzz uses it, but with the compiler that everything else is built with: what tells which code was
//! reached is a pass of LLVM that needs no other toolchain. No sanitizer: all but a few modules deny unsafe code, and those
//! read no files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::context::Context;
use crate::workspace::HOST_TARGET;
use crate::{build_ebpf, exec, say};

/// Options of `fuzz`.
#[derive(Debug, Args)]
#[command(after_help = "\
Inputs that are worth keeping are in target/fuzz/corpus, those that fail in target/fuzz/failed.

Examples:
  cargo xtask fuzz
  cargo xtask fuzz trace --seconds 3600")]
pub(crate) struct Options {
    /// Only this target: trace, zst or btf
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// How long each is tried
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
}

/// A program each in `fuzz/fuzz_targets/`.
const TARGETS: [&str; 3] = ["trace", "zst", "btf"];

/// How long each target is tried by the tests, in seconds: together a minute.
const SECONDS: u32 = 20;

/// Tells libFuzzer what was reached, and what was compared with what.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// The longest input in bytes, the most memory in MiB, and the longest time of one input in seconds.
const LIMITS: [&str; 3] = ["-max_len=65536", "-rss_limit_mb=512", "-timeout=10"];

/// Tries one target, or all.
pub(crate) fn run(cx: &Context, options: &Options) -> Result<()> {
    let programs = build(cx)?;
    for target in TARGETS {
        if options.target.as_deref().is_none_or(|only| only == target) {
            say::plain_step(&format!("fuzz {target}"), || {
                attack(cx, &programs, target, options.seconds)
            })?;
        }
    }
    Ok(())
}

/// Tries all targets for a minute together.
pub(crate) fn shortly(cx: &Context) -> Result<()> {
    let programs = build(cx)?;
    TARGETS.into_iter().try_for_each(|target| attack(cx, &programs, target, SECONDS))
}

/// Builds the targets; gives the folder of the programs.
fn build(cx: &Context) -> Result<PathBuf> {
    if exec::on_path("c++").is_none() {
        bail!("libFuzzer is written in C++, and there is no compiler `c++`: install g++");
    }
    build_ebpf::ensure(cx)?;
    let folder = cx.workspace.target.join("fuzz");
    let mut cargo = cx.workspace.cargo();
    cargo
        .args([
            "build",
            "--quiet",
            "--release",
            "--bins",
            "--target",
            HOST_TARGET,
            "--manifest-path",
        ])
        .arg(cx.workspace.root.join("fuzz/Cargo.toml"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &folder);
    say::long_step("fuzz targets: building", || exec::visible(&mut cargo))?;
    Ok(folder.join(HOST_TARGET).join("release"))
}

/// Tries inputs on a target, beginning with those that are kept.
fn attack(cx: &Context, programs: &std::path::Path, target: &str, seconds: u32) -> Result<()> {
    let folder = cx.workspace.target.join("fuzz");
    let corpus = folder.join("corpus").join(target);
    let failed = folder.join("failed");
    for folder in [&corpus, &failed] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = Command::new(programs.join(target));
    command.args(LIMITS).args(["-verbosity=0", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/{target}-", failed.display()));
    command.arg(&corpus).arg(cx.workspace.root.join("fuzz/seeds").join(target));
    exec::visible(&mut command)
        .with_context(|| format!("an input fails; it is in {}", failed.display()))
}
