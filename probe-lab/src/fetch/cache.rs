//! The one folder in which everything fetched or built for guests is kept.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::fetch::{FetchError, Progress};

/// The cache folder, and who is told when it is filled.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    progress: Arc<dyn Progress>,
}

/// Held while the cache is changed; released when dropped.
#[derive(Debug)]
pub struct CacheLock(#[expect(dead_code, reason = "kept for its drop, which unlocks")] File);

impl Cache {
    /// Finds the folder: `$WALKPROBE_CACHE`, else `$XDG_CACHE_HOME/walkprobe`, else `~/.cache/walkprobe`.
    ///
    /// # Errors
    ///
    /// No variable says where it is, or it cannot be made.
    pub fn open(progress: Arc<dyn Progress>) -> Result<Self, FetchError> {
        let root = locate(|name| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        })
        .ok_or(FetchError::NoCacheFolder)?;
        let root = std::path::absolute(&root).map_err(FetchError::file("find", &root))?;
        fs::create_dir_all(&root).map_err(FetchError::file("create the cache folder", &root))?;
        Ok(Self { root, progress })
    }

    /// A place in the cache, whether or not it exists.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Who is told.
    #[must_use]
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// Does `work`, and tells that it is done.
    ///
    /// # Errors
    ///
    /// Those of the work.
    pub fn step<T, E>(&self, what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let end = self.progress.begin(what);
        let outcome = work();
        end(outcome.is_ok());
        outcome
    }

    /// Waits until nobody else changes the cache, and keeps others out until dropped.
    ///
    /// # Errors
    ///
    /// The file that is locked cannot be made or locked.
    pub fn lock(&self) -> Result<CacheLock, FetchError> {
        let path = self.path("lock");
        let file = File::create(&path).map_err(FetchError::file("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                self.progress.note("waiting for another walkprobe that is filling the cache ...");
                file.lock().map_err(FetchError::file("lock", &path))?;
            }
            Err(TryLockError::Error(error)) => return Err(FetchError::file("lock", path)(error)),
        }
        Ok(CacheLock(file))
    }

    /// A scratch folder on the cache's own file system, so that what is made in it can be renamed into place.
    ///
    /// # Errors
    ///
    /// The cache cannot be written to.
    pub fn scratch(&self) -> Result<TempDir, FetchError> {
        tempfile::Builder::new()
            .prefix("partial-")
            .tempdir_in(&self.root)
            .map_err(FetchError::file("write to the cache folder", &self.root))
    }

    /// Puts a finished folder in place in one step; what was there before goes.
    ///
    /// # Errors
    ///
    /// What was there cannot be removed, or the folder cannot be moved.
    pub fn install(&self, finished: &Path, name: impl AsRef<Path>) -> Result<PathBuf, FetchError> {
        let target = self.path(name);
        let moved = || {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            if target.exists() {
                fs::remove_dir_all(&target)?;
            }
            fs::rename(finished, &target)
        };
        moved().map_err(FetchError::file("replace", &target))?;
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
