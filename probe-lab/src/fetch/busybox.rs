//! A static busybox for the guests' shell, from Debian's package.

use std::fs;
use std::path::PathBuf;

use crate::fetch::apt::{self, Apt};
use crate::fetch::error::with_causes;
use crate::fetch::{Cache, FetchError};

const FOLDER: &str = "busybox";
const PACKAGE: &str = "busybox-static";

/// Gives the path of a static busybox, or none, with a note, where none can be had: guests work without.
///
/// # Errors
///
/// The cache cannot be locked.
pub fn ensure(cache: &Cache) -> Result<Option<PathBuf>, FetchError> {
    let busybox = cache.path(FOLDER).join("busybox");
    if busybox.is_file() {
        return Ok(Some(busybox));
    }
    let _lock = cache.lock()?;
    if busybox.is_file() {
        return Ok(Some(busybox));
    }
    if let Err(error) = cache.step("busybox: fetching Debian's package", || fetch(cache)) {
        cache.progress().note(&format!(
            "guests will have no shell: {}; cure: put a static busybox at {}",
            with_causes(&error),
            busybox.display()
        ));
        return Ok(None);
    }
    Ok(Some(busybox))
}

fn fetch(cache: &Cache) -> Result<(), FetchError> {
    let apt = Apt::this_machine(cache)?;
    let scratch = cache.scratch()?;
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
        .ok_or_else(|| FetchError::Incomplete("busybox".to_owned()))?;
    let finished = scratch.path().join("busybox");
    fs::create_dir(&finished).map_err(FetchError::file("create", &finished))?;
    fs::rename(binary, finished.join("busybox")).map_err(FetchError::file("fill", &finished))?;
    cache.install(&finished, FOLDER)?;
    Ok(())
}
