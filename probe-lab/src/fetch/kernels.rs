//! Kernels in the cache, fetched from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fetch::apt::{self, Apt};
use crate::fetch::series::{self, KernelPackages};
use crate::fetch::{Cache, FetchError};

type Result<T> = std::result::Result<T, FetchError>;

/// A kernel in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kernel {
    /// As in `6.12`.
    pub series: String,
    /// What `uname -r` says there.
    pub release: String,
    /// The version of Debian's package.
    pub version: String,
    /// Holds `vmlinuz`, `config` and `modules/`.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Kernel {
    /// The kernel image.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The folder of its modules; for some kernels the archive only keeps the image.
    #[must_use]
    pub fn modules(&self) -> Option<PathBuf> {
        Some(self.folder.join("modules")).filter(|folder| folder.is_dir())
    }
}

/// Gives the kernel of a series, fetching it first if need be.
///
/// # Errors
///
/// There is no such series, or it cannot be fetched.
pub fn ensure(cache: &Cache, series: &str) -> Result<Kernel> {
    check(series)?;
    if let Some(kernel) = cached(cache, series) {
        return Ok(kernel);
    }
    let _lock = cache.lock()?;
    if let Some(kernel) = cached(cache, series) {
        return Ok(kernel);
    }
    cache
        .step(&format!("kernel {series}: fetching Debian's package"), || fetch(cache, series))
        .map_err(|error| FetchError::Kernel { series: series.to_owned(), source: Box::new(error) })
}

/// The cached kernel of a series.
#[must_use]
pub fn cached(cache: &Cache, series: &str) -> Option<Kernel> {
    let folder = cache.path("kernels").join(series);
    let manifest = fs::read_to_string(folder.join("kernel.json")).ok()?;
    let kernel: Kernel = serde_json::from_str(&manifest).ok()?;
    let kernel = Kernel { folder, ..kernel };
    kernel.image().is_file().then_some(kernel)
}

/// The newest kernel that can be had of each series of [`series::ALL`], in that order.
///
/// # Errors
///
/// Debian's lists of packages cannot be had.
pub fn newest(cache: &Cache) -> Result<Vec<Option<KernelPackages>>> {
    let apt = Apt::all_suites(cache)?;
    if !apt.has_lists() {
        let _lock = cache.lock()?;
        cache.step("kernels: fetching Debian's package lists", || apt.update_suites(cache))?;
    }
    let candidates = apt.candidates(series::PACKAGES)?;
    Ok(series::ALL.iter().map(|series| series::newest(series, &candidates)).collect())
}

/// Fetches the newest kernel of a series unless that very version is cached.
///
/// # Errors
///
/// There is no such series, or it cannot be fetched.
pub fn refresh(cache: &Cache, series: &str) -> Result<Kernel> {
    check(series)?;
    let _lock = cache.lock()?;
    let newest = find(cache, series)?;
    if let Some(kernel) = cached(cache, series).filter(|kernel| kernel.version == newest.version) {
        cache.progress().note(&format!("kernel {series}: {} is cached", kernel.version));
        return Ok(kernel);
    }
    cache.step(&format!("kernel {series}: fetching {}", newest.version), || fetch(cache, series))
}

fn check(series: &str) -> Result<()> {
    if !series::ALL.contains(&series) {
        return Err(FetchError::NoSeries { name: series.to_owned() });
    }
    Ok(())
}

fn find(cache: &Cache, series: &str) -> Result<KernelPackages> {
    let apt = Apt::all_suites(cache)?;
    if !apt.has_lists() {
        apt.update_suites(cache)?;
    }
    let candidates = apt.candidates(series::PACKAGES)?;
    series::newest(series, &candidates).ok_or_else(|| FetchError::NotToBeHad(series.to_owned()))
}

/// Downloads and unpacks; lists that are older than the mirror's packages are fetched again.
fn fetch(cache: &Cache, series: &str) -> Result<Kernel> {
    let apt = Apt::all_suites(cache)?;
    let scratch = cache.scratch()?;
    let download = |packages: &KernelPackages| {
        let names: Vec<String> =
            packages.names.iter().map(|name| format!("{name}={}", packages.version)).collect();
        apt.download(&names, scratch.path())
    };
    let mut packages = find(cache, series)?;
    let debs = if let Ok(debs) = download(&packages) {
        debs
    } else {
        apt.update_suites(cache)?;
        packages = find(cache, series)?;
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
    let manifest = finished.join("kernel.json");
    fs::write(&manifest, serde_json::to_string_pretty(&kernel)?)
        .map_err(FetchError::file("write", manifest))?;
    let folder = cache.install(&finished, Path::new("kernels").join(series))?;
    Ok(Kernel { folder, ..kernel })
}

/// Picks image, configuration and modules out of an unpacked package, wherever that generation of packages has them.
fn arrange(root: &Path, scratch: &Path, release: &str) -> Result<PathBuf> {
    let finished = scratch.join("kernel");
    fs::create_dir(&finished).map_err(FetchError::file("create", &finished))?;
    let keep = |from: &Path, name: &str| {
        fs::rename(from, finished.join(name)).map_err(FetchError::file("move", from))
    };
    let modules = [root.join("usr/lib/modules"), root.join("lib/modules")]
        .map(|folder| folder.join(release))
        .into_iter()
        .find(|folder| folder.is_dir());
    for name in ["vmlinuz", "config", "System.map"] {
        let boot = root.join("boot").join(format!("{name}-{release}"));
        let places = [Some(boot), modules.as_ref().map(|folder| folder.join(name))];
        match places.iter().flatten().find(|place| place.is_file()) {
            Some(place) => keep(place, name)?,
            None if name == "vmlinuz" => {
                return Err(FetchError::Incomplete(format!("kernel image of {release}")));
            }
            None => {}
        }
    }
    if let Some(modules) = modules {
        keep(&modules, "modules")?;
    }
    Ok(finished)
}
