//! Where QEMU is, and how to start it from there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exec;

const BINARY: &str = "qemu-system-x86_64";

/// A QEMU for x86-64 guests: installed, or unpacked from packages into some folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    binary: PathBuf,
    libraries: Vec<PathBuf>,
    firmware: Vec<PathBuf>,
}

impl Qemu {
    /// The QEMU on PATH, if any.
    #[must_use]
    pub fn on_path() -> Option<Self> {
        exec::on_path(BINARY).map(Self::installed)
    }

    /// The QEMU in a folder into which Debian's packages of it and its libraries were unpacked, if any.
    #[must_use]
    pub fn unpacked_at(root: &Path) -> Option<Self> {
        let binary = root.join("usr/bin").join(BINARY);
        let existing = |folders: &[&str]| {
            folders
                .iter()
                .map(|folder| root.join(folder))
                .filter(|folder| folder.is_dir())
                .collect()
        };
        binary.is_file().then(|| Self {
            libraries: existing(&["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"]),
            firmware: existing(&["usr/share/qemu", "usr/share/seabios"]),
            binary,
        })
    }

    /// The QEMU of this path: installed, or unpacked as for [`Qemu::unpacked_at`].
    #[must_use]
    pub fn at(binary: PathBuf) -> Self {
        let root = binary.ancestors().nth(3).filter(|root| *root != Path::new("/"));
        let unpacked = root.and_then(Self::unpacked_at).filter(|qemu| qemu.binary == binary);
        unpacked.unwrap_or_else(|| Self::installed(binary))
    }

    /// An installed QEMU, which finds its libraries and firmware by itself.
    #[must_use]
    pub fn installed(binary: PathBuf) -> Self {
        Self { binary, libraries: Vec::new(), firmware: Vec::new() }
    }

    /// The command that starts it, with what it needs to find its own parts and nothing about a machine yet.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        for folder in &self.firmware {
            command.arg("-L").arg(folder);
        }
        if !self.libraries.is_empty() {
            let inherited = std::env::var_os("LD_LIBRARY_PATH");
            command.env("LD_LIBRARY_PATH", library_path(&self.libraries, inherited));
        }
        command
    }

    /// The path of its binary.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }
}

fn library_path(own: &[PathBuf], inherited: Option<OsString>) -> OsString {
    let mut path = OsString::new();
    for folder in own {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(folder);
    }
    if let Some(inherited) = inherited.filter(|value| !value.is_empty()) {
        path.push(":");
        path.push(inherited);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_libraries_come_first() {
        let own = [PathBuf::from("/q/a"), PathBuf::from("/q/b")];
        assert_eq!(library_path(&own, None), "/q/a:/q/b");
        assert_eq!(library_path(&own, Some("/x".into())), "/q/a:/q/b:/x");
    }

    #[test]
    fn an_unpacked_qemu_is_recognised_by_its_place() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let binary = root.path().join("usr/bin").join(BINARY);
        assert_eq!(Qemu::at(binary.clone()), Qemu::installed(binary.clone()));
        std::fs::create_dir_all(root.path().join("usr/bin"))?;
        std::fs::create_dir_all(root.path().join("usr/share/qemu"))?;
        std::fs::write(&binary, "")?;
        assert_eq!(Qemu::at(binary).firmware, [root.path().join("usr/share/qemu")]);
        Ok(())
    }

    #[test]
    fn an_empty_folder_has_no_qemu() {
        assert_eq!(Qemu::unpacked_at(Path::new("/nonexistent")), None);
    }
}
