//! What to boot and what to run there: plain data.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::host::accel::Accelerator;

/// Folders of the guest over which something is mounted, so that no file can be put there beforehand.
const MOUNTED_OVER: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/tmp"];

/// A guest and the one command it runs.
#[derive(Debug, Clone)]
pub struct Machine {
    /// A bzImage.
    pub kernel: PathBuf,
    /// The folder of its modules, as in `/lib/modules/RELEASE`, if there is one.
    pub modules: Option<PathBuf>,
    /// Names of modules to load before the command, with those they need.
    pub load: Vec<String>,
    /// What executes the guest's instructions.
    pub accelerator: Accelerator,
    /// Memory as QEMU spells it: `2G`.
    pub memory: String,
    /// Virtual CPUs.
    pub cpus: u32,
    /// More words for the kernel's command line.
    pub append: String,
    /// More options for QEMU, as they are.
    pub qemu_options: Vec<String>,
    /// A static program that calls [`crate::guest::run`] when it is called as the guest's init. It is on the guest's PATH, too, as
    /// `walkprobe`.
    pub walkprobe: PathBuf,
    /// A static busybox for the guest's shell and tools.
    pub busybox: Option<PathBuf>,
    /// Files and folders to put into the guest.
    pub add: Vec<AddedFile>,
    /// Files to copy out of the guest when the command has ended.
    pub copy_out: Vec<CopiedFile>,
    /// Count instructions instead of time, on one CPU, and keep all that differs from run to run away: the same machine then
    /// counts the same again (docs/lab.md says how equal times are). The command has no input, and what it writes comes when it has ended, standard output first.
    pub deterministic: bool,
    /// The program to run and its arguments.
    pub command: Vec<String>,
    /// Environment of the command, on top of `PATH`, `HOME` and `TERM`.
    pub environment: Vec<(String, String)>,
    /// Give up when the command runs longer than this.
    pub timeout: Option<Duration>,
    /// Give up when neither kernel nor init give a sign of life for this long.
    pub hang_after: Duration,
    /// The file that gets the kernel's log; overwritten.
    pub kernel_log: PathBuf,
}

impl Machine {
    /// Two CPUs, 2 GiB, software emulation, no time limit.
    #[must_use]
    pub fn new(
        kernel: PathBuf,
        walkprobe: PathBuf,
        kernel_log: PathBuf,
        command: Vec<String>,
    ) -> Self {
        Self {
            kernel,
            modules: None,
            load: Vec::new(),
            accelerator: Accelerator::Tcg,
            memory: "2G".to_owned(),
            cpus: 2,
            append: String::new(),
            qemu_options: Vec::new(),
            walkprobe,
            busybox: None,
            add: Vec::new(),
            copy_out: Vec::new(),
            deterministic: false,
            command,
            environment: Vec::new(),
            timeout: None,
            hang_after: Duration::from_mins(1),
            kernel_log,
        }
    }
}

/// The size of the terminal that the command is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// A file or folder here and its place in the guest; parses from `SRC[:DEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedFile {
    /// The file or folder on this machine.
    pub source: PathBuf,
    /// Its absolute path in the guest.
    pub destination: PathBuf,
}

/// A file of the guest and where it is to be here; parses from `GUESTPATH[:DEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedFile {
    /// Its path in the guest; a relative one begins in `/root`, where the command starts.
    pub source: String,
    /// The file here; a new one takes the place of an old one.
    pub destination: PathBuf,
}

impl FromStr for CopiedFile {
    type Err = String;

    /// Without `DEST`, the file comes into the current folder; a `DEST` that is a folder gets it under its own name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, destination) = match text.split_once(':') {
            Some((source, destination)) => (source, Some(Path::new(destination))),
            None => (text, None),
        };
        let name = Path::new(source).file_name();
        let name = name.ok_or_else(|| format!("`{source}` is no path of a file in the guest"))?;
        let destination = match destination {
            None => PathBuf::from(name),
            Some(folder) if folder.is_dir() => folder.join(name),
            Some(file) if file.file_name().is_some() => file.to_owned(),
            Some(_) => return Err(format!("`{text}` names no file here: say GUESTPATH[:DEST]")),
        };
        Ok(Self { source: source.to_owned(), destination })
    }
}

impl FromStr for AddedFile {
    type Err = String;

    /// Without `DEST`, the file lands in `/root`, where the command starts.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, destination) = if let Some((source, destination)) = text.split_once(':') {
            (source, PathBuf::from(destination))
        } else {
            let name = Path::new(text).file_name();
            let name = name.ok_or_else(|| format!("`{text}` has no file name: say SRC:DEST"))?;
            (text, Path::new("/root").join(name))
        };
        if source.is_empty() {
            return Err(format!("`{text}` names no file: say SRC or SRC:DEST"));
        }
        if !destination.is_absolute() || destination.parent().is_none() {
            return Err(format!(
                "`{}` is no absolute path of a file in the guest",
                destination.display()
            ));
        }
        if let Some(over) = MOUNTED_OVER.iter().find(|folder| destination.starts_with(folder)) {
            return Err(format!(
                "a file in {over} would be hidden by what the guest mounts there; try /root"
            ));
        }
        Ok(Self { source: source.into(), destination })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_destination_are_split() {
        let added: AddedFile = "a/b.txt:/etc/c".parse().expect("is valid");
        assert_eq!(added.source, Path::new("a/b.txt"));
        assert_eq!(added.destination, Path::new("/etc/c"));
        let added: AddedFile = "a/b.txt".parse().expect("is valid");
        assert_eq!(added.destination, Path::new("/root/b.txt"));
    }

    #[test]
    fn copies_have_a_place_here() {
        let copied: CopiedFile = "/tmp/a.json".parse().expect("is valid");
        assert_eq!(copied.destination, Path::new("a.json"));
        let copied: CopiedFile = "/tmp/a.json:/".parse().expect("is valid");
        assert_eq!(copied.destination, Path::new("/a.json"));
        let copied: CopiedFile = "a.json:b/c".parse().expect("is valid");
        assert_eq!((copied.source.as_str(), copied.destination), ("a.json", "b/c".into()));
        for text in ["", "/", "a/..", ":b", "a:", "a:no/such/.."] {
            assert!(text.parse::<CopiedFile>().is_err(), "{text}");
        }
    }

    #[test]
    fn bad_places_are_refused() {
        for text in ["", ":/a", "a:", "a:b", "a:/", "..", "a:/tmp/x"] {
            assert!(text.parse::<AddedFile>().is_err(), "{text}");
        }
    }
}
