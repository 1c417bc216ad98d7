//! bpf-linker, built against the LLVM inside the compiler, so that both always speak the same bitcode.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::{exec, say};

const VERSION: &str = "^0.13";

/// Gives the linker's path, building it first if need be.
pub(crate) fn ensure(cx: &Context) -> Result<PathBuf> {
    let name = format!("bpf-linker/rust-{}-llvm-{}", cx.compiler.release, cx.compiler.llvm);
    let linker = cx.cache.path(&name).join("bin/bpf-linker");
    if linker.is_file() {
        return Ok(linker);
    }
    let _lock = cx.cache.lock()?;
    if linker.is_file() {
        return Ok(linker);
    }
    let Some(llvm) = llvm(&cx.compiler.sysroot) else {
        return exec::on_path("bpf-linker").with_context(|| {
            format!(
                "the Rust toolchain at {} has no libLLVM to build bpf-linker against; cure: use a toolchain from \
                 rustup, or put a bpf-linker built for LLVM {} on PATH",
                cx.compiler.sysroot.display(),
                cx.compiler.llvm
            )
        });
    };
    say::step("bpf-linker: building against the compiler's LLVM (about a minute)", || build(cx, &llvm, &name))
        .context("bpf-linker could not be built; it comes from crates.io: is this machine online, is a C++ compiler (package g++) installed?")?;
    Ok(linker)
}

fn build(cx: &Context, llvm: &Path, name: &str) -> Result<()> {
    let scratch = cx.cache.scratch()?;
    let prefix = scratch.path().join("llvm");
    fs::create_dir_all(prefix.join("lib"))?;
    std::os::unix::fs::symlink(llvm, prefix.join("lib/libLLVM.so"))?;
    let root = scratch.path().join("root");
    let major = cx.compiler.llvm.split('.').next().unwrap_or_default();
    let rpath = cx.compiler.sysroot.join("lib");

    let mut cargo = cx.workspace.cargo();
    cargo
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--no-default-features"])
        .args(["--features", &format!("llvm-{major}"), "--root"])
        .arg(&root)
        .env("LLVM_PREFIX", &prefix)
        .env("RUSTFLAGS", format!("-C link-arg=-Wl,-rpath,{}", rpath.display()))
        .env("CARGO_TARGET_DIR", scratch.path().join("target"));
    exec::output(&mut cargo)?;
    exec::output(std::process::Command::new(root.join("bin/bpf-linker")).arg("--version"))?;
    cx.cache.install(&root, name)?;
    Ok(())
}

/// The compiler's own LLVM: `libLLVM.so.22.1-rust-1.95.0-stable` (the `.so` beside it is a linker script).
fn llvm(sysroot: &Path) -> Option<PathBuf> {
    fs::read_dir(sysroot.join("lib")).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("libLLVM.so.").then(|| entry.path())
    })
}
