//! The VMAs of a process.
//!
//! What each source knows; `docs/bench-scan.md` has what listing costs:
//!
//! | source | cost | ranges, permissions, name | page size | flags |
//! |---|---|---|---|---|
//! | text of `maps` | a system call for a page of text | yes; a newline in a name is ambiguous | no | no |
//! | `PROCMAP_QUERY` (6.11) | a system call for each VMA | yes, names byte for byte | yes | no |
//! | `smaps` | walks all page tables | yes | yes | yes |
//!
//! So VMAs are listed from the text. [`query`] is asked once for a device whose page size nothing
//! else tells, and for names that the text leaves ambiguous; `smaps` when flags are asked for.
//!
//! The list is one of a moving process: the kernel writes one page of text at a time, and
//! since 6.17 takes no lock for all of it (fs/proc/task_mmu.c, `lock_vma_range`). A VMA that was moved or merged
//! meanwhile may come twice; it is cut so that the list stays in order and without overlap.
//!
//! `[vsyscall]` is left out: it lies outside the user address range, in the kernel's page tables.

pub(crate) mod classify;
pub(crate) mod devices;
mod error;
pub(crate) mod query;
pub(crate) mod smaps;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::{
    fs::{self, File},
    io::{self, Read, Seek as _},
};

pub use self::error::Error;
use self::{
    devices::{Devices, Storage, leaf_size},
    text::{Device, Line, Lines},
};
use crate::{
    escape::escape,
    model::vma::{Vma, VmaKind},
};

/// The VMAs of one address space.
#[derive(Debug)]
pub struct VmaList {
    /// In order of address; they do not overlap.
    pub vmas: Vec<Vma>,
    /// How many were cut or left out because the process changed them while they were read.
    pub torn: u64,
    /// How many lines could not be understood.
    pub unreadable: u64,
    /// Keeps the address space that was read apart from a later one of the same process.
    space: AddressSpace,
}

/// One address space of a process: an open `maps`, which stays with the address space that the
/// process had when it was opened.
#[derive(Debug)]
pub struct AddressSpace {
    pid: u32,
    maps: File,
}

impl AddressSpace {
    /// The address space that the process has now.
    ///
    /// # Errors
    /// When there is no such process, or its files may not be read.
    pub fn open(pid: u32) -> Result<Self, Error> {
        let maps = File::open(format!("/proc/{pid}/maps"))
            .map_err(|error| Error::from_io(pid, "maps", error))?;
        Ok(Self { pid, maps })
    }

    /// Whether it is still in use: false once the process has ended or called exec.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let mut byte = [0];
        let mut maps = &self.maps;
        maps.rewind().is_ok() && maps.read(&mut byte).is_ok_and(|length| length == 1)
    }

    /// Lists its VMAs, with their flags (`VmFlags`) when `wants_flags`: that makes the kernel walk
    /// all its page tables.
    ///
    /// # Errors
    /// When the address space is gone, or its files may not be read.
    pub fn list(self, wants_flags: bool) -> Result<VmaList, Error> {
        let pid = self.pid;
        let failed = |error| Error::from_io(pid, "maps", error);
        // Not readable for a zombie; then there are no VMAs either.
        let mountinfo = fs::read(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let mut devices = Devices::new(&mountinfo);
        (&self.maps).rewind().map_err(failed)?;
        let mut reader = Reader::new(&mut devices, Some(&self.maps));
        reader.read(&self.maps).map_err(failed)?;
        let Reader { vmas, torn, unreadable, unresolved, .. } = reader;
        if vmas.is_empty() {
            return Err(Error::NoAddressSpace { pid });
        }
        let mut list = VmaList { vmas, torn, unreadable, space: self };
        if wants_flags || unresolved {
            list.add_counts(wants_flags)?;
        }
        // `maps` of an address space that is gone just ends.
        if list.space.is_alive() { Ok(list) } else { Err(Error::Changed { pid }) }
    }
}

impl VmaList {
    /// The address space that they are of.
    #[must_use]
    pub fn space(&self) -> &AddressSpace {
        &self.space
    }

    /// From `smaps`: the flags, and page sizes where nothing cheaper told them.
    fn add_counts(&mut self, wants_flags: bool) -> Result<(), Error> {
        let pid = self.space.pid;
        let failed = |error| Error::from_io(pid, "smaps", error);
        let file = File::open(format!("/proc/{pid}/smaps")).map_err(failed)?;
        let mut vmas = self.vmas.iter_mut().peekable();
        smaps::read(file, |counts| {
            while vmas.next_if(|vma| vma.start < counts.start).is_some() {}
            let Some(vma) = vmas.next_if(|vma| vma.start == counts.start) else { return };
            let huge = counts.page_size > base_page();
            if vma.kind == VmaKind::File && huge && !vma.name.starts_with("/dev/dax") {
                vma.kind = leaf_size(counts.page_size).map_or(vma.kind, VmaKind::Hugetlb);
            }
            if wants_flags {
                vma.flags = Some(counts.flags);
            }
        })
        .map_err(failed)
    }
}

/// Lists the VMAs of a process, with their flags when `wants_flags`.
///
/// # Errors
/// When there is no such process, it has no address space, or its files may not be read.
pub fn list(pid: u32, wants_flags: bool) -> Result<VmaList, Error> {
    AddressSpace::open(pid)?.list(wants_flags)
}

pub(crate) fn base_page() -> u64 {
    rustix::param::page_size() as u64
}

/// Turns the text of `maps` into VMAs.
struct Reader<'a> {
    devices: &'a mut Devices,
    /// Where more can be asked; absent for text that is no live process's.
    maps: Option<&'a File>,
    vmas: Vec<Vma>,
    torn: u64,
    unreadable: u64,
    /// A VMA's page size is not known.
    unresolved: bool,
}

impl<'a> Reader<'a> {
    fn new(devices: &'a mut Devices, maps: Option<&'a File>) -> Self {
        Self { devices, maps, vmas: Vec::new(), torn: 0, unreadable: 0, unresolved: false }
    }

    fn read(&mut self, mut source: impl Read) -> io::Result<()> {
        // The kernel gives at most a page of text at a time, or one line if that is longer.
        let mut buffer = vec![0; 32 << 10];
        let mut lines = Lines::default();
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => lines.feed(&buffer[..length], |line| self.line(line)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unreadable += u64::from(lines.is_cut());
        Ok(())
    }

    fn line(&mut self, text: &[u8]) {
        let Some(mut line) = text::line(text) else {
            self.unreadable += 1;
            return;
        };
        if line.start >> 63 != 0 {
            return;
        }
        let before = self.vmas.last().map_or(0, |vma| vma.end);
        if line.start < before {
            self.torn += 1;
            if line.end <= before {
                return;
            }
            if line.has_file() {
                line.offset = line.offset.saturating_add(before - line.start);
            }
            line.start = before;
        }
        if line.has_file() && self.devices.get(line.device).is_none() {
            self.resolve(&line);
        }
        let mut vma = classify::vma(&line, self.devices);
        if text::has_newline(line.name)
            && let Some(details) = self.ask(line.start)
        {
            vma.name = escape(&details.name);
        }
        self.vmas.push(vma);
    }

    /// Finds out what a device is that is in no mount table.
    fn resolve(&mut self, line: &Line<'_>) {
        let storage = match self.ask(line.start) {
            Some(details) if details.page_size > base_page() => leaf_size(details.page_size)
                .filter(|_| !line.name.starts_with(b"/dev/dax"))
                .map_or(Storage::File, Storage::Hugetlb),
            Some(_) => classify::by_name(line.name),
            None => {
                let storage = classify::by_name(line.name);
                // hugetlbfs has paths; perf_event and io_uring, whose memory is never huge, do not.
                self.unresolved |= storage == Storage::File && line.name.starts_with(b"/");
                storage
            }
        };
        let Device { major, minor } = line.device;
        log::debug!("maps: device {major}:{minor} is in no mount table: {storage:?}");
        self.devices.set(line.device, storage);
    }

    fn ask(&self, start: u64) -> Option<query::Details> {
        let details = query::at(self.maps?, start).ok()??;
        (details.start == start).then_some(details)
    }
}
