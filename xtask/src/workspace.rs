//! Where this workspace is, where cargo puts what it builds, and which compiler builds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::exec;

/// The triple of everything that runs on Linux here; named explicitly so that its flags do not reach build scripts.
pub(crate) const HOST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The folders of this workspace.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// The user's target folder.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, which knows about `CARGO_TARGET_DIR` and its configuration files.
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut cargo = cargo();
        cargo.current_dir(manifest).args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ]);
        let metadata: serde_json::Value = serde_json::from_str(&exec::output(&mut cargo)?)?;
        let folder = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("cargo metadata has no {key}"))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// Cargo, run in the root of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = cargo();
        cargo.current_dir(&self.root);
        cargo
    }
}

/// The compiler that builds this workspace.
#[derive(Debug, Clone)]
pub(crate) struct Compiler {
    /// Its version, as in `1.95.0`.
    pub(crate) release: String,
    /// The version of the LLVM inside, as in `22.1.2`.
    pub(crate) llvm: String,
    /// The folder that holds its libraries.
    pub(crate) sysroot: PathBuf,
}

impl Compiler {
    /// Asks the compiler beside the cargo that runs us, without the detour over rustup's proxy where possible.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let rustc = std::env::var_os("CARGO")
            .map(|cargo| Path::new(&cargo).with_file_name("rustc"))
            .filter(|rustc| rustc.is_file())
            .unwrap_or_else(|| "rustc".into());
        let version = exec::output(Command::new(&rustc).arg("-vV").current_dir(&workspace.root))?;
        let sysroot = exec::output(
            Command::new(&rustc).args(["--print", "sysroot"]).current_dir(&workspace.root),
        )?;
        Ok(Self {
            release: field(&version, "release").context("rustc -vV names no release")?,
            llvm: field(&version, "LLVM version").context("rustc -vV names no LLVM version")?,
            sysroot: sysroot.trim().into(),
        })
    }
}

/// The cargo that runs us: the right toolchain at once, without the detour over rustup's proxy.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn field(version: &str, name: &str) -> Option<String> {
    version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_version_are_found() {
        let version = "rustc 1.95.0\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
        assert_eq!(field(version, "release").as_deref(), Some("1.95.0"));
        assert_eq!(field(version, "LLVM version").as_deref(), Some("22.1.2"));
        assert_eq!(field(version, "host"), None);
    }
}
