//! The standard library's source of exactly the compiler's version, from which `core` is built for eBPF.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use probe_lab::fetch::apt::{self, Apt};

use crate::context::Context;
use crate::{exec, say};

/// Set to skip rustup and take the source from Debian.
const NO_RUSTUP: &str = "WALKPROBE_NO_RUSTUP";

/// Makes the source known to the toolchain: by rustup, else from Debian's package.
pub(crate) fn ensure(cx: &Context) -> Result<()> {
    let library = library(cx);
    if is_there(cx) {
        return Ok(());
    }
    let _lock = cx.cache.lock()?;
    if is_there(cx) {
        return Ok(());
    }
    let rustup = if std::env::var_os(NO_RUSTUP).is_some() {
        format!("rustup was not asked ({NO_RUSTUP} is set)")
    } else {
        match say::step("rust-src: adding the rustup component", || by_rustup(cx)) {
            Ok(()) => return Ok(()),
            Err(error) => format!("{error:#}"),
        }
    };
    let release = &cx.compiler.release;
    say::step(&format!("rust-src: fetching Debian's package of {release}"), || by_debian(cx)).with_context(|| {
        format!(
            "no source of the standard library of Rust {release}; cure: `rustup component add rust-src`, or put \
             the folder `library` of the Rust {release} sources at {} ({rustup})",
            library.display()
        )
    })
}

fn library(cx: &Context) -> PathBuf {
    cx.compiler.sysroot.join("lib/rustlib/src/rust/library")
}

fn is_there(cx: &Context) -> bool {
    library(cx).join("core/src/lib.rs").is_file()
}

fn by_rustup(cx: &Context) -> Result<()> {
    // A link into a cache that is gone would be in rustup's way.
    if library(cx).is_symlink() {
        let _ = std::fs::remove_file(library(cx));
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "rust-src"]).current_dir(&cx.workspace.root);
    exec::output(&mut rustup)?;
    if !is_there(cx) {
        bail!("rustup added rust-src to another toolchain than the one in use");
    }
    Ok(())
}

fn by_debian(cx: &Context) -> Result<()> {
    let release = &cx.compiler.release;
    let apt = Apt::all_suites(&cx.cache)?;
    let mut version = None;
    if apt.has_lists() {
        version = find(&apt, release)?;
    }
    if version.is_none() {
        apt.update_suites(&cx.cache)?;
        version = find(&apt, release)?;
    }
    let version = version.with_context(|| format!("no suite of Debian has rust-src {release}"))?;

    let scratch = cx.cache.scratch()?;
    for deb in apt.download(&[format!("rust-src={version}")], scratch.path())? {
        apt::unpack(&deb, &scratch.path().join("root"))?;
    }
    let unpacked = scratch.path().join("root/usr/src").join(format!("rustc-{release}"));
    let kept = cx.cache.install(&unpacked, format!("rust-src-{release}"))?;
    let library = library(cx);
    let parent = library.parent().context("the sysroot has no parent folder")?;
    let link = || -> std::io::Result<()> {
        std::fs::create_dir_all(parent)?;
        let _ = std::fs::remove_file(&library);
        std::os::unix::fs::symlink(kept.join("library"), &library)
    };
    link().with_context(|| {
        format!(
            "the toolchain cannot be written to: make the link {} -> {}",
            library.display(),
            kept.join("library").display()
        )
    })
}

/// The version of Debian's package for a release of Rust.
fn find(apt: &Apt, release: &str) -> Result<Option<String>> {
    Ok(apt
        .candidates("^rust-src$")?
        .into_iter()
        .map(|candidate| candidate.version)
        .find(|version| version.split(['+', '-']).next() == Some(release)))
}
