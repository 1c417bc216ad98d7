//! The functions of the files that processes have mapped.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::PathBuf,
};

use super::elf::Reader;
use crate::kernel::vmas::text::Device;

/// A mapping that can be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where in the file `start` is.
    pub(super) offset: u64,
    /// The file's device and number; `None` when no file backs it.
    pub(super) file: Option<(Device, u64)>,
    /// Its name, escaped.
    pub(super) name: String,
}

/// The files, held open.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Absent until it is needed, and after it came to harm.
    reader: Option<Reader>,
    /// `None`: the reader came to harm.
    open: HashMap<(Device, u64), Option<Held>>,
}

/// An open file, and the path to it that stays when its process ends. Held open, the number that
/// identifies it is nobody else's.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    _file: File,
}

/// Each costs two file descriptors, and 1024 are what a process usually gets.
const MOST: usize = 256;

/// A file of a larger size is not looked into: what is read of it is up to whoever made it.
const LARGEST: u64 = 4 << 30;

impl Files {
    /// The function that an address in a mapping of a process lies in, and how far in.
    pub(super) fn function(
        &mut self,
        pid: u32,
        code: &Code,
        address: u64,
    ) -> Option<(String, u64)> {
        let key = code.file?;
        if self.open.len() >= MOST && !self.open.contains_key(&key) {
            // The reader, too: it knows files by paths that now become those of others.
            *self = Self::default();
        }
        let held = match self.open.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            // Not remembered when it fails: another process can have the file, too.
            Entry::Vacant(new) => new.insert(Some(hold(pid, code)?)),
        };
        let path = held.as_ref()?.path.clone();
        let offset = code.offset.checked_add(address - code.start)?;
        if self.reader.is_none() {
            self.reader = Reader::start().ok();
        }
        let Ok(answer) = self.reader.as_ref()?.ask(path, offset) else {
            log::debug!("{}: it cannot be read", code.name);
            self.reader = None;
            *held = None;
            return None;
        };
        answer
    }
}

/// Opens the very file that is mapped, whatever has its name now, in whichever mount namespace. Without the
/// right to that (CAP_CHECKPOINT_RESTORE), what has its name, if that is the same file.
fn hold(pid: u32, code: &Code) -> Option<Held> {
    let mapped = format!("/proc/{pid}/map_files/{:x}-{:x}", code.start, code.end);
    let file = is_mapped(open(&mapped), code, false).or_else(|| {
        let named = format!("/proc/{pid}/root{}", code.name);
        is_mapped(open(&named), code, true)
    });
    let Some(file) = file else {
        log::debug!("{}: not a file that can be looked into", code.name);
        return None;
    };
    Some(Held { path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(), _file: file })
}

/// Not for reading: to open a device for that can do anything.
fn open(path: &str) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_PATH).open(path)
}

/// The file, if it is the mapped one. The mapping itself may be another one by now; some file systems have
/// devices for `maps` that `stat` does not know.
fn is_mapped(file: io::Result<File>, code: &Code, by_name: bool) -> Option<File> {
    let file = file.ok()?;
    let metadata = file.metadata().ok()?;
    let (device, inode) = code.file?;
    let found = Device { major: libc::major(metadata.dev()), minor: libc::minor(metadata.dev()) };
    let is_it = metadata.ino() == inode && (!by_name || found == device);
    (is_it && metadata.is_file() && metadata.len() <= LARGEST).then_some(file)
}
