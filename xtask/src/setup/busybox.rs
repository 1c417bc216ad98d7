//! A static busybox for the guests' shell, from Debian's package.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::apt::{self, Apt};
use crate::context::Context;
use crate::say;

const PACKAGE: &str = "busybox-static";

/// Gives the path of a static busybox, or none, with a note, where none can be had: guests work without.
pub(crate) fn ensure(cx: &Context) -> Result<Option<PathBuf>> {
    let busybox = cx.cache.path("busybox/busybox");
    if busybox.is_file() {
        return Ok(Some(busybox));
    }
    let _lock = cx.cache.lock()?;
    if busybox.is_file() {
        return Ok(Some(busybox));
    }
    if let Err(error) = say::step("busybox: fetching Debian's package", || fetch(cx)) {
        say::note(format_args!(
            "guests will have no shell: {error:#}; cure: put a static busybox at {}",
            busybox.display()
        ));
        return Ok(None);
    }
    Ok(Some(busybox))
}

fn fetch(cx: &Context) -> Result<()> {
    let apt = Apt::this_machine(&cx.cache)?;
    let scratch = cx.cache.scratch()?;
    let debs = apt.download(&[PACKAGE.to_owned()], scratch.path()).or_else(|_| {
        apt.update()?;
        apt.download(&[PACKAGE.to_owned()], scratch.path())
    })?;
    let root = scratch.path().join("root");
    for deb in debs {
        apt::unpack(&deb, &root)?;
    }
    let binary = ["bin/busybox", "usr/bin/busybox"]
        .map(|path| root.join(path))
        .into_iter()
        .find(|path| path.is_file())
        .context("the package has no busybox")?;
    let finished = scratch.path().join("busybox");
    std::fs::create_dir(&finished)?;
    std::fs::rename(binary, finished.join("busybox"))?;
    cx.cache.install(&finished, "busybox")?;
    Ok(())
}
