//! Finds the eBPF object that `cargo xtask build-ebpf` has put into the target folder, and refuses
//! one that was built from other sources: its records would have another layout.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

#[path = "../xtask/src/ebpf_stamp.rs"]
mod ebpf_stamp;

const CURE: &str = "run `cargo xtask build-ebpf`";

fn main() {
    if let Err(message) = embed() {
        // The form that cargo shows without the noise of a panic.
        println!("cargo::error={message}");
    }
}

fn embed() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.parent().ok_or("the package stands in no workspace")?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    for source in ["probe-ebpf", "probe-common"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    // The target folder is one of the folders around OUT_DIR, whatever the profile and the target.
    let object = out
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("walkprobe.bpf.o"))
        .find(|object| object.is_file())
        .ok_or(format!("the eBPF object is not built yet: {CURE}"))?;
    let stamp = object.with_extension("stamp");
    println!("cargo::rerun-if-changed={}", object.display());
    println!("cargo::rerun-if-changed={}", stamp.display());
    let built_from = fs::read_to_string(&stamp).map_err(|error| at(&stamp, &error))?;
    let sources = ebpf_stamp::stamp(workspace).map_err(|error| at(workspace, &error))?;
    if built_from.trim() != sources {
        return Err(format!("the eBPF object is not built from these sources: {CURE}"));
    }
    fs::copy(&object, out.join("walkprobe.bpf.o")).map_err(|error| at(&object, &error))?;
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
