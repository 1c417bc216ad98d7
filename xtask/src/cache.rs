//! The one folder outside the tree in which everything fetched or built by `setup` is kept.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::say;

/// The cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// Held while the cache is changed; released when dropped.
pub(crate) struct CacheLock(#[expect(dead_code, reason = "kept for its drop, which unlocks")] File);

impl Cache {
    /// Finds the folder: `$WALKPROBE_CACHE`, else `$XDG_CACHE_HOME/walkprobe`, else `~/.cache/walkprobe`.
    pub(crate) fn open() -> Result<Self> {
        let root = locate(|name| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        })
        .context("no cache folder: set WALKPROBE_CACHE, XDG_CACHE_HOME or HOME")?;
        let root = std::path::absolute(&root)?;
        fs::create_dir_all(&root)
            .with_context(|| format!("cannot create the cache folder {}", root.display()))?;
        Ok(Self { root })
    }

    /// A place in the cache, whether or not it exists.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Waits until no other xtask changes the cache, and keeps others out until dropped.
    pub(crate) fn lock(&self) -> Result<CacheLock> {
        let path = self.path("lock");
        let file =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say::note("waiting for another xtask that is filling the cache ...");
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context("cannot lock the cache folder");
            }
        }
        Ok(CacheLock(file))
    }

    /// A scratch folder on the cache's own file system, so that what is made in it can be renamed into place.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix("partial-")
            .tempdir_in(&self.root)
            .with_context(|| format!("cannot write to the cache folder {}", self.root.display()))
    }

    /// Puts a finished folder in place in one step; what was there before goes.
    pub(crate) fn install(&self, finished: &Path, name: impl AsRef<Path>) -> Result<PathBuf> {
        let target = self.path(name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        if target.exists() {
            fs::remove_dir_all(&target)
                .with_context(|| format!("cannot replace {}", target.display()))?;
        }
        fs::rename(finished, &target).with_context(|| {
            format!("cannot move {} to {}", finished.display(), target.display())
        })?;
        Ok(target)
    }
}

fn locate(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("WALKPROBE_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("walkprobe")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/walkprobe")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_variable_wins() {
        let all = |name: &str| Some(PathBuf::from(format!("/{name}")));
        assert_eq!(locate(all), Some("/WALKPROBE_CACHE".into()));
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/h"));
        assert_eq!(locate(home), Some("/h/.cache/walkprobe".into()));
        assert_eq!(locate(|_| None), None);
    }
}
