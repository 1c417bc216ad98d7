//! bpftrace for the guests of `bench live`: Debian's newest package with the libraries that it needs, whatever
//! this machine runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use probe_lab::fetch::apt::{self, Apt};

use crate::context::Context;
use crate::{exec, say};

const FOLDER: &str = "bpftrace";
const PACKAGE: &str = "bpftrace";
/// The program in the folder, and the libraries beside it under the names by which programs ask for them.
const PROGRAM: &str = "bpftrace";
const LIBRARIES: &str = "lib";
/// What starts a dynamically linked program; it stands among the libraries.
const LOADER: &str = "ld-linux-x86-64.so.2";

/// bpftrace in the cache, in a folder that can be copied anywhere.
#[derive(Debug)]
pub(crate) struct Bpftrace {
    /// Holds all that it needs.
    pub(crate) folder: PathBuf,
}

impl Bpftrace {
    /// The words that start it from a copy of its folder: loader, folder of libraries, program.
    pub(crate) fn command(copy: &Path) -> Vec<String> {
        let libraries = copy.join(LIBRARIES);
        let loader = libraries.join(LOADER);
        [loader.as_path(), Path::new("--library-path"), &libraries, &copy.join(PROGRAM)]
            .map(|word| word.to_string_lossy().into_owned())
            .to_vec()
    }
}

/// Gives bpftrace, fetching it first if need be.
pub(crate) fn ensure(cx: &Context) -> Result<Bpftrace> {
    let folder = cx.cache.path(FOLDER);
    if !folder.join(PROGRAM).is_file() {
        let _lock = cx.cache.lock()?;
        if !folder.join(PROGRAM).is_file() {
            say::step("bpftrace: fetching Debian's package", || fetch(cx))?;
        }
    }
    Ok(Bpftrace { folder })
}

fn fetch(cx: &Context) -> Result<()> {
    let apt = Apt::all_suites(&cx.cache)?;
    let scratch = cx.cache.scratch()?;
    let download = || apt.download_with_dependencies(&[PACKAGE], &scratch.path().join("debs"));
    let mut debs = apt.has_lists().then(download).and_then(Result::ok);
    if debs.is_none() {
        // Lists that are older than the mirror's packages are fetched again.
        apt.update_suites(&cx.cache)?;
        debs = Some(download()?);
    }
    let root = scratch.path().join("root");
    for deb in debs.into_iter().flatten() {
        apt::unpack(&deb, &root)?;
    }
    cx.cache.install(&arrange(&root, scratch.path())?, FOLDER)?;
    Ok(())
}

/// Picks the program and what its loader says that it needs out of the unpacked packages.
fn arrange(root: &Path, scratch: &Path) -> Result<PathBuf> {
    let program = root.join("usr/bin").join(PROGRAM);
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let loader = libraries.join(LOADER);
    let mut list = Command::new(&loader);
    list.arg("--library-path").arg(&libraries).arg("--list").arg(&program);
    let list = exec::output(&mut list).context("the package lacks a library")?;
    let finished = scratch.join("bpftrace");
    let into = finished.join(LIBRARIES);
    fs::create_dir_all(&into)?;
    for (name, file) in list.lines().filter_map(library) {
        if !file.starts_with(root) {
            bail!("bpftrace's {name} is not in the packages that it depends on");
        }
        fs::copy(file, into.join(name))?;
    }
    fs::copy(loader, into.join(LOADER))?;
    fs::copy(program, finished.join(PROGRAM))?;
    Ok(finished)
}

/// A line of the loader's list: `libz.so.1 => /path/libz.so.1 (0x...)`.
fn library(line: &str) -> Option<(&str, &Path)> {
    let (name, rest) = line.trim().split_once(" => ")?;
    let (file, _) = rest.rsplit_once(" (")?;
    (!name.starts_with('/')).then_some((name, Path::new(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_the_loaders_list() {
        let line = "\tlibz.so.1 => /r/usr/lib/libz.so.1 (0x00007f00)";
        assert_eq!(library(line), Some(("libz.so.1", Path::new("/r/usr/lib/libz.so.1"))));
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007ffe)"), None);
        assert_eq!(library("\t/lib64/ld-linux-x86-64.so.2 => /r/ld.so (0x00007f00)"), None);
    }
}
