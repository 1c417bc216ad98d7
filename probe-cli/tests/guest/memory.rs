//! Memory of this process with known leaves.

use std::{ffi::c_void, fs::File, io, ops::Range, os::fd::AsRawFd as _, ptr};

pub(crate) const PAGE: usize = 4 << 10;
pub(crate) const PMD: usize = 2 << 20;
pub(crate) const PUD: usize = 1 << 30;

/// Linux 6.13 (`include/uapi/asm-generic/mman-common.h`).
const MADV_GUARD_INSTALL: i32 = 102;

/// Private memory, aligned to 1 GiB where it is huge and to 2 MiB elsewhere, with room on both sides so
/// that no other VMA joins it. A part of another area does not own it.
pub(crate) struct Area {
    start: usize,
    length: usize,
    mapping: Option<Range<usize>>,
}

#[expect(unsafe_code, reason = "maps memory whose page tables are looked at")]
impl Area {
    /// Memory without THP.
    pub(crate) fn base(length: usize) -> io::Result<Self> {
        let area = Self::new(length, PMD, 0)?;
        area.advise(0..length, libc::MADV_NOHUGEPAGE)?;
        Ok(area)
    }

    /// Memory with THP; `None` where the kernel has none, or it is switched off.
    pub(crate) fn huge(length: usize) -> io::Result<Option<Self>> {
        let switch = "/sys/kernel/mm/transparent_hugepage/enabled";
        match std::fs::read_to_string(switch) {
            Ok(text) if !text.contains("[never]") => {}
            _ => return Ok(None),
        }
        let area = Self::new(length, PMD, 0)?;
        area.advise(0..length, libc::MADV_HUGEPAGE)?;
        Ok(Some(area))
    }

    /// Memory with THP where the kernel has it.
    pub(crate) fn huge_or_base(length: usize) -> io::Result<Self> {
        Self::huge(length)?.map_or_else(|| Self::base(length), Ok)
    }

    /// The beginning of a file, to be read.
    pub(crate) fn file(file: &File, length: usize) -> io::Result<Self> {
        // SAFETY: a new mapping; that the file can change is no matter, since nobody reads it.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = memory as usize;
        Ok(Self { start, length, mapping: Some(start..start + length) })
    }

    /// hugetlb memory of pages of `size` bytes; `None` when the pool has not enough.
    pub(crate) fn hugetlb(length: usize, size: usize) -> io::Result<Option<Self>> {
        let log = i32::try_from(size.trailing_zeros()).unwrap_or(0);
        match Self::new(length, size, libc::MAP_HUGETLB | log << libc::MAP_HUGE_SHIFT) {
            Ok(area) => Ok(Some(area)),
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn new(length: usize, align: usize, flags: i32) -> io::Result<Self> {
        let room = length + 2 * align.max(PMD);
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let flags = flags | anonymous | if flags == 0 { libc::MAP_NORESERVE } else { 0 };
        // SAFETY: new mappings; the second replaces a part of the first, which nobody uses.
        unsafe {
            let around = libc::mmap(
                ptr::null_mut(),
                room,
                libc::PROT_NONE,
                anonymous | libc::MAP_NORESERVE,
                -1,
                0,
            );
            if around == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let mapping = around as usize..around as usize + room;
            let start = (mapping.start + 1).next_multiple_of(align);
            let memory = libc::mmap(
                start as *mut c_void,
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                flags | libc::MAP_FIXED,
                -1,
                0,
            );
            // Dropped, and with it unmapped, when the second mapping fails.
            let area = Self { start, length, mapping: Some(mapping) };
            if memory == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(area)
        }
    }

    /// A part of the area, in bytes from its beginning.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.length);
        Self { start: self.start + range.start, length: range.len(), mapping: None }
    }

    /// The addresses.
    pub(crate) fn range(&self) -> Range<u64> {
        self.start as u64..(self.start + self.length) as u64
    }

    /// Writes to each page.
    pub(crate) fn write(&self, range: Range<usize>) {
        assert!(range.end <= self.length);
        for offset in range.step_by(PAGE) {
            // SAFETY: in our own writable mapping.
            unsafe { ptr::write_volatile((self.start + offset) as *mut u8, 1) };
        }
    }

    /// Reads from each page.
    pub(crate) fn read(&self, range: Range<usize>) {
        assert!(range.end <= self.length);
        for offset in range.step_by(PAGE) {
            // SAFETY: in our own readable mapping.
            unsafe { ptr::read_volatile((self.start + offset) as *const u8) };
        }
    }

    /// Forbids every access.
    pub(crate) fn forbid(&self, range: Range<usize>) -> io::Result<()> {
        assert!(range.end <= self.length);
        let start = (self.start + range.start) as *mut c_void;
        // SAFETY: our own mapping; nobody reads or writes there afterwards.
        match unsafe { libc::mprotect(start, range.len(), libc::PROT_NONE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Makes a guard region; false where the kernel has none.
    pub(crate) fn guard(&self, range: Range<usize>) -> io::Result<bool> {
        match self.advise(range, MADV_GUARD_INSTALL) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn advise(&self, range: Range<usize>, advice: i32) -> io::Result<()> {
        assert!(range.end <= self.length);
        let start = (self.start + range.start) as *mut c_void;
        // SAFETY: our own mapping, whose contents nobody needs.
        match unsafe { libc::madvise(start, range.len(), advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[expect(unsafe_code, reason = "gives the memory back")]
impl Drop for Area {
    fn drop(&mut self) {
        if let Some(mapping) = &self.mapping {
            // SAFETY: our own mapping, which nothing refers to any more.
            unsafe { libc::munmap(mapping.start as *mut c_void, mapping.len()) };
        }
    }
}
