//! `cargo xtask kernels`: which kernels can be had and which are cached; fetches them from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::apt::{self, Apt, Candidate};
use crate::context::Context;
use crate::series::{self, KernelPackages};
use crate::{cli, say};

/// A kernel in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kernel {
    /// As in `6.12`.
    pub(crate) series: String,
    /// What `uname -r` says there.
    pub(crate) release: String,
    /// The version of Debian's package.
    pub(crate) version: String,
    /// Holds `vmlinuz`, `config` and `modules/`.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

impl Kernel {
    /// The kernel image.
    pub(crate) fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The folder of its modules; for some kernels the archive only keeps the image.
    pub(crate) fn modules(&self) -> Option<PathBuf> {
        Some(self.folder.join("modules")).filter(|folder| folder.is_dir())
    }
}

/// Lists all series, or fetches those asked for.
pub(crate) fn run(cx: &Context, options: &cli::Kernels) -> Result<()> {
    match options.fetch.as_deref() {
        None => {
            list(cx);
            Ok(())
        }
        Some("all") => series::ALL.iter().try_for_each(|series| refresh(cx, series)),
        Some(series) => refresh(cx, series),
    }
}

/// Gives the kernel of a series, fetching it first if need be.
pub(crate) fn ensure(cx: &Context, series: &str) -> Result<Kernel> {
    check(series)?;
    if let Some(kernel) = cached(cx, series) {
        return Ok(kernel);
    }
    let _lock = cx.cache.lock()?;
    if let Some(kernel) = cached(cx, series) {
        return Ok(kernel);
    }
    let fetched =
        say::step(&format!("kernel {series}: fetching Debian's package"), || fetch(cx, series));
    fetched.with_context(|| {
        format!("kernel {series} cannot be had; cure: `--kernel PATH` takes any bzImage with BTF (CONFIG_DEBUG_INFO_BTF)")
    })
}

/// The cached kernel of a series.
pub(crate) fn cached(cx: &Context, series: &str) -> Option<Kernel> {
    let folder = cx.cache.path("kernels").join(series);
    let manifest = fs::read_to_string(folder.join("kernel.json")).ok()?;
    let kernel: Kernel = serde_json::from_str(&manifest).ok()?;
    let kernel = Kernel { folder, ..kernel };
    kernel.image().is_file().then_some(kernel)
}

fn check(series: &str) -> Result<()> {
    if !series::ALL.contains(&series) {
        bail!("no kernel series `{series}`; there are {}", series::ALL.join(", "));
    }
    Ok(())
}

fn list(cx: &Context) {
    let candidates = Apt::all_suites(&cx.cache).and_then(|apt| {
        if !apt.has_lists() {
            let _lock = cx.cache.lock()?;
            say::step("kernels: fetching Debian's package lists", || apt.update_suites(&cx.cache))?;
        }
        apt.candidates(series::PACKAGES)
    });
    let candidates = candidates.unwrap_or_else(|error| {
        say::note(format_args!("only cached kernels are known: {error:#}"));
        Vec::new()
    });
    say::result(format_args!("{:8} {:24} {:24} release", "series", "to be had", "cached"));
    for series in series::ALL {
        let newest = series::newest(series, &candidates);
        let cached = cached(cx, series);
        let release = cached.as_ref().map(|kernel| kernel.release.clone());
        say::result(format_args!(
            "{series:8} {:24} {:24} {}",
            newest.as_ref().map_or("-", |kernel| &kernel.version),
            cached.as_ref().map_or("-", |kernel| &kernel.version),
            release.or(newest.as_ref().map(|kernel| kernel.release.clone())).unwrap_or_default()
        ));
    }
}

/// Fetches the newest kernel of a series unless that very version is cached.
fn refresh(cx: &Context, series: &str) -> Result<()> {
    check(series)?;
    let _lock = cx.cache.lock()?;
    let newest = find(cx, series)?;
    if let Some(kernel) = cached(cx, series).filter(|kernel| kernel.version == newest.version) {
        say::note(format_args!("kernel {series}: {} is cached", kernel.version));
        return Ok(());
    }
    say::step(&format!("kernel {series}: fetching {}", newest.version), || fetch(cx, series))?;
    Ok(())
}

fn find(cx: &Context, series: &str) -> Result<KernelPackages> {
    let apt = Apt::all_suites(&cx.cache)?;
    if !apt.has_lists() {
        apt.update_suites(&cx.cache)?;
    }
    let candidates: Vec<Candidate> = apt.candidates(series::PACKAGES)?;
    series::newest(series, &candidates).with_context(|| {
        format!("no suite of Debian that could be read has a kernel of series {series}")
    })
}

/// Downloads and unpacks; lists that are older than the mirror's packages are fetched again.
fn fetch(cx: &Context, series: &str) -> Result<Kernel> {
    let apt = Apt::all_suites(&cx.cache)?;
    let scratch = cx.cache.scratch()?;
    let download = |packages: &KernelPackages| {
        let names: Vec<String> =
            packages.names.iter().map(|name| format!("{name}={}", packages.version)).collect();
        apt.download(&names, scratch.path())
    };
    let mut packages = find(cx, series)?;
    let debs = if let Ok(debs) = download(&packages) {
        debs
    } else {
        apt.update_suites(&cx.cache)?;
        packages = find(cx, series)?;
        download(&packages)?
    };
    let root = scratch.path().join("root");
    for deb in debs {
        apt::unpack(&deb, &root)?;
    }
    let finished = arrange(&root, scratch.path(), &packages.release)?;
    let kernel = Kernel {
        series: series.to_owned(),
        release: packages.release,
        version: packages.version,
        folder: PathBuf::new(),
    };
    fs::write(finished.join("kernel.json"), serde_json::to_string_pretty(&kernel)?)?;
    let folder = cx.cache.install(&finished, Path::new("kernels").join(series))?;
    Ok(Kernel { folder, ..kernel })
}

/// Picks image, configuration and modules out of an unpacked package, wherever that generation of packages has them.
fn arrange(root: &Path, scratch: &Path, release: &str) -> Result<PathBuf> {
    let finished = scratch.join("kernel");
    fs::create_dir(&finished)?;
    let modules = [root.join("usr/lib/modules"), root.join("lib/modules")]
        .map(|folder| folder.join(release))
        .into_iter()
        .find(|folder| folder.is_dir());
    for name in ["vmlinuz", "config", "System.map"] {
        let boot = root.join("boot").join(format!("{name}-{release}"));
        let places = [Some(boot), modules.as_ref().map(|folder| folder.join(name))];
        match places.iter().flatten().find(|place| place.is_file()) {
            Some(place) => fs::rename(place, finished.join(name))?,
            None if name == "vmlinuz" => bail!("the package has no kernel image of {release}"),
            None => {}
        }
    }
    if let Some(modules) = modules {
        fs::rename(&modules, finished.join("modules"))?;
    }
    Ok(finished)
}
