//! Loads the modules that the host chose.

use std::fs::{self, File};

use rustix::io::Errno;
use rustix::system::finit_module;

use crate::protocol::MODULES;

/// Loads all, in the order of their names; gives a sentence for each that does not load.
pub(super) fn load_all() -> Vec<String> {
    let Ok(folder) = fs::read_dir(MODULES) else {
        return Vec::new();
    };
    let mut files: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut troubles = Vec::new();
    for path in files {
        let loaded =
            File::open(&path).map_err(|error| error.to_string()).and_then(
                |file| match finit_module(file, c"", 0) {
                    Ok(()) | Err(Errno::EXIST) => Ok(()),
                    Err(error) => Err(error.to_string()),
                },
            );
        if let Err(error) = loaded {
            troubles.push(format!("{} is not loaded: {error}", path.display()));
        }
    }
    troubles
}
