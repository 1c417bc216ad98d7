//! QEMU: the installed one, else Debian's package unpacked into the cache; nothing is installed.

use anyhow::{Context as _, Result};
use probe_lab::Qemu;

use crate::apt;
use crate::context::Context;
use crate::say;

const FOLDER: &str = "qemu";
const PACKAGE: &str = "qemu-system-x86";

/// Gives QEMU, fetching it first if need be.
pub(crate) fn ensure(cx: &Context) -> Result<Qemu> {
    if let Some(qemu) = find(cx) {
        return Ok(qemu);
    }
    let _lock = cx.cache.lock()?;
    if let Some(qemu) = find(cx) {
        return Ok(qemu);
    }
    say::step("QEMU: fetching Debian's package", || fetch(cx)).context(
        "QEMU cannot be had; cure: install it (Debian, Ubuntu: qemu-system-x86; Fedora: qemu-system-x86-core; \
         Arch: qemu-system-x86; openSUSE: qemu-x86)",
    )?;
    find(cx).context("the fetched QEMU has no qemu-system-x86_64")
}

fn find(cx: &Context) -> Option<Qemu> {
    Qemu::on_path().or_else(|| Qemu::unpacked_at(&cx.cache.path(FOLDER)))
}

fn fetch(cx: &Context) -> Result<()> {
    apt::install(&cx.cache, PACKAGE, FOLDER, |_| Ok(()))
}
