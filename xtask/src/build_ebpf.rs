//! `cargo xtask build-ebpf`: the eBPF object, and beside it the stamp of the sources it was built from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::strip::strip;
use crate::{ebpf_stamp, exec, say, setup};

/// The triple of eBPF programs for little-endian kernels.
pub(crate) const EBPF_TARGET: &str = "bpfel-unknown-none";
const OBJECT: &str = "walkprobe.bpf.o";
const STAMP: &str = "walkprobe.bpf.stamp";

/// Builds the object whether or not it is stale (cargo does nothing when nothing changed); gives its path.
pub(crate) fn run(cx: &Context) -> Result<PathBuf> {
    let stamp = stamp(cx)?;
    let mut cargo = cargo(cx, "build")?;
    cargo.args(["--quiet", "--release"]);
    say::long_step("eBPF object: building", || exec::visible(&mut cargo))
        .context("the eBPF object could not be built")?;
    let built = target_folder(cx).join(EBPF_TARGET).join("release/walkprobe-ebpf");
    let built = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let stripped = strip(&built)?;
    for folder in places(cx) {
        fs::create_dir_all(&folder)?;
        replace(&folder.join(OBJECT), &stripped)?;
        replace(&folder.join(STAMP), stamp.as_bytes())?;
    }
    Ok(object(cx))
}

/// Gives the object's path, building it only if the sources have changed.
pub(crate) fn ensure(cx: &Context) -> Result<PathBuf> {
    let stamp = stamp(cx)?;
    let fresh = places(cx).iter().all(|folder| {
        folder.join(OBJECT).is_file()
            && fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found.trim() == stamp)
    });
    if fresh {
        return Ok(object(cx));
    }
    run(cx)
}

/// Cargo set up to do something (`build`, `clippy`) with the package of the eBPF programs.
pub(crate) fn cargo(cx: &Context, verb: &str) -> Result<std::process::Command> {
    setup::rust_src(cx)?;
    let linker = setup::linker(cx)?;
    let mut cargo = cx.workspace.cargo();
    cargo
        .args([verb, "--package", "probe-ebpf", "--target", EBPF_TARGET, "-Z", "build-std=core"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS", "-C debuginfo=2 -C link-arg=--btf")
        .env("CARGO_TARGET_DIR", target_folder(cx));
    Ok(cargo)
}

fn stamp(cx: &Context) -> Result<String> {
    ebpf_stamp::stamp(&cx.workspace.root).context("cannot read the sources of the eBPF programs")
}

fn object(cx: &Context) -> PathBuf {
    cx.workspace.target.join(OBJECT)
}

/// A target folder of its own: the flags would otherwise make cargo rebuild the world each time.
fn target_folder(cx: &Context) -> PathBuf {
    cx.workspace.target.join("ebpf")
}

/// The target folders whose builds embed the object: the user's and that of the static binaries.
fn places(cx: &Context) -> [PathBuf; 2] {
    [cx.workspace.target.clone(), crate::build::target_folder(cx)]
}

/// Writes a file unless it has these contents: an unchanged time stamp keeps cargo from building again.
fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|found| found == contents) {
        return Ok(());
    }
    let folder = path.parent().context("a file in the root folder")?;
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    std::io::Write::write_all(&mut file, contents)?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
