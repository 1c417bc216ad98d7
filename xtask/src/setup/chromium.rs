//! Chromium without a window, for the tests of reports: the installed one, else Debian's package unpacked into the
//! cache; nothing is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use probe_lab::fetch::{FetchError, apt};

use crate::context::Context;
use crate::{exec, say};

const FOLDER: &str = "chromium";
const PACKAGE: &str = "chromium-headless-shell";
/// What starts it from the unpacked packages.
const START: &str = "start";
/// Its libraries are beside it; those of PulseAudio have a folder of their own.
const SCRIPT: &str = r#"#!/bin/sh
root=$(dirname "$0")
libraries="$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$libraries:$root/usr/lib/x86_64-linux-gnu/pulseaudio"
exec "$root/usr/lib/chromium/chromium-headless-shell" "$@"
"#;

/// Gives the program, fetching it first if need be.
pub(crate) fn ensure(cx: &Context) -> Result<PathBuf> {
    if let Some(program) = find(cx) {
        return Ok(program);
    }
    let _lock = cx.cache.lock()?;
    if let Some(program) = find(cx) {
        return Ok(program);
    }
    say::step("Chromium: fetching Debian's package", || fetch(cx)).context(
        "Chromium cannot be had; cure: install it (Debian: chromium-headless-shell; elsewhere: chromium)",
    )?;
    find(cx).context("the fetched Chromium has no start script")
}

fn find(cx: &Context) -> Option<PathBuf> {
    let unpacked = cx.cache.path(FOLDER).join(START);
    let installed = [PACKAGE, "chromium"].into_iter().find_map(exec::on_path);
    installed.or_else(|| unpacked.is_file().then_some(unpacked))
}

fn fetch(cx: &Context) -> Result<()> {
    Ok(apt::install(&cx.cache, PACKAGE, FOLDER, |root| write_script(&root.join(START)))?)
}

fn write_script(path: &Path) -> Result<(), FetchError> {
    fs::write(path, SCRIPT)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|source| FetchError::File { operation: "write", path: path.to_owned(), source })
}
