//! Tells whether a built eBPF object is that of the sources at hand.
//!
//! Only the standard library is used, so that a build script can include this file by its path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folders, relative to the workspace, whose contents decide about the object.
const SOURCES: [&str; 2] = ["probe-common", "probe-ebpf"];

/// The stamp of the sources: 16 hexadecimal digits (FNV-1a, 64 bits) over paths and contents, in path order.
///
/// # Errors
///
/// A source file or folder cannot be read.
pub(crate) fn stamp(workspace: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for folder in SOURCES {
        collect(&workspace.join(folder), &mut files)?;
    }
    files.sort();
    let mut hash = Fnv::new();
    for file in &files {
        let name = file.strip_prefix(workspace).unwrap_or(file);
        let contents = fs::read(file)?;
        hash.write(name.as_os_str().as_encoded_bytes());
        // Lengths keep `ab` + `c` and `a` + `bc` apart.
        hash.write(&contents.len().to_le_bytes());
        hash.write(&contents);
    }
    Ok(format!("{:016x}", hash.0))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if entry.file_type()?.is_dir() {
            if !hidden && name != "target" {
                collect(&entry.path(), files)?;
            }
        } else if !hidden && relevant(&entry.path()) {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Sources and manifests; an editor's backup copy must not make an object stale.
fn relevant(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rs" || extension == "toml")
}

struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_is_the_published_one() {
        let mut hash = Fnv::new();
        hash.write(b"foobar");
        assert_eq!(hash.0, 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_changed_source_changes_the_stamp_and_a_backup_does_not() -> io::Result<()> {
        let workspace = tempfile::tempdir()?;
        for folder in SOURCES {
            fs::create_dir_all(workspace.path().join(folder).join("src"))?;
            fs::write(workspace.path().join(folder).join("src/a.rs"), "one")?;
        }
        let before = stamp(workspace.path())?;
        fs::write(workspace.path().join("probe-ebpf/src/a.rs~"), "old")?;
        assert_eq!(stamp(workspace.path())?, before);
        fs::write(workspace.path().join("probe-ebpf/src/a.rs"), "two")?;
        assert_ne!(stamp(workspace.path())?, before);
        Ok(())
    }
}
