//! `cargo xtask build`: the static release binaries, for guests and for copying to other machines.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::workspace::HOST_TARGET;
use crate::{build_ebpf, exec, say};

/// Builds the static `walkprobe` with the eBPF object inside; gives its path.
pub(crate) fn walkprobe(cx: &Context) -> Result<PathBuf> {
    build_ebpf::ensure(cx)?;
    let name = "walkprobe";
    let mut cargo = cargo(cx, "build");
    // Says nothing when nothing is to be done, for its output would mix with that of a guest's command.
    cargo.args(["--quiet", "--release", "--package", name, "--bin", name]);
    say::long_step(&format!("{name}: building"), || exec::visible(&mut cargo))
        .with_context(|| format!("{name} could not be built"))?;
    Ok(target_folder(cx).join(HOST_TARGET).join("release").join(name))
}

/// Builds a static program of cargo's tests or benches (`--test NAME`, `--bench NAME`); cargo tells where it is.
pub(crate) fn harness(cx: &Context, kind: &str, name: &str) -> Result<PathBuf> {
    build_ebpf::ensure(cx)?;
    let mut cargo = cargo(cx, "build");
    cargo.args(["--release", "--package", "walkprobe", kind, name]);
    cargo.arg("--message-format=json-render-diagnostics");
    let messages = exec::output(&mut cargo)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no program `{name}`"))
}

/// Cargo set up to build static binaries.
pub(crate) fn cargo(cx: &Context, verb: &str) -> Command {
    let mut cargo = cx.workspace.cargo();
    cargo
        .args([verb, "--target", HOST_TARGET])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", target_folder(cx));
    cargo
}

/// A target folder of its own, so that a plain `cargo build` stays fresh.
pub(crate) fn target_folder(cx: &Context) -> PathBuf {
    cx.workspace.target.join("static")
}
