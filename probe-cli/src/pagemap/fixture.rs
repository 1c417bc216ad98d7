//! Memory of the test process, in known states.
#![expect(unsafe_code, reason = "mapping and touching memory is what these tests do")]

use std::{ffi::c_void, fs::File, io, ops::Range, ptr};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

/// A mapping that nobody else has references into, until it is dropped.
#[derive(Debug)]
pub(crate) struct Area {
    used: Range<usize>,
}

impl Area {
    /// Private anonymous memory at a multiple of `align`, which is at least a page.
    pub(crate) fn anonymous(len: usize, align: usize) -> Self {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        Self::map(len, align, flags).unwrap()
    }

    /// Shared anonymous memory.
    pub(crate) fn shared(len: usize) -> Self {
        Self::map(len, 4096, MapFlags::SHARED).unwrap()
    }

    /// Private hugetlb pages of 2^shift bytes.
    pub(crate) fn hugetlb(len: usize, shift: u32, reserve: bool) -> io::Result<Self> {
        let size = MapFlags::from_bits_retain(shift << libc::MAP_HUGE_SHIFT);
        let unreserved = if reserve { MapFlags::empty() } else { MapFlags::NORESERVE };
        Self::map(len, 1 << shift, MapFlags::PRIVATE | MapFlags::HUGETLB | size | unreserved)
    }

    fn map(len: usize, align: usize, flags: MapFlags) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let hugetlb = flags.contains(MapFlags::HUGETLB);
        // Unmapped margins at both sides, so that no neighbour merges with it.
        let room = if hugetlb { len } else { len + 2 * align };
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let base = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), room, access, flags)? };
        let base = base.expose_provenance();
        let start = if hugetlb { base } else { (base + 1).next_multiple_of(align) };
        for margin in [base..start, start + len..base + room] {
            if !margin.is_empty() {
                let first = ptr::with_exposed_provenance_mut(margin.start);
                // SAFETY: inside the new mapping.
                unsafe { rustix::mm::munmap(first, margin.len())? };
            }
        }
        Ok(Self { used: start..start + len })
    }

    /// A private, read-only mapping of a file.
    pub(crate) fn of_file(file: &File, len: usize) -> Self {
        // SAFETY: as in `map`.
        let base = unsafe {
            rustix::mm::mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0)
        };
        let base = base.unwrap().expose_provenance();
        Self { used: base..base + len }
    }

    pub(crate) fn start(&self) -> u64 {
        self.used.start as u64
    }

    pub(crate) fn range(&self) -> Range<u64> {
        self.start()..self.used.end as u64
    }

    fn at(&self, offset: usize, len: usize) -> *mut c_void {
        assert!(offset + len <= self.used.len());
        ptr::with_exposed_provenance_mut(self.used.start + offset)
    }

    pub(crate) fn write(&self, offset: usize) {
        // SAFETY: `at` checked that it is inside, and any byte is a valid u8.
        unsafe { self.at(offset, 1).cast::<u8>().write_volatile(1) };
    }

    pub(crate) fn read(&self, offset: usize) -> u8 {
        // SAFETY: as in `write`.
        unsafe { self.at(offset, 1).cast::<u8>().read_volatile() }
    }

    pub(crate) fn advise(&self, offset: usize, len: usize, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: `at` checked the range, which has no references into it.
        let result = unsafe { libc::madvise(self.at(offset, len), len, advice) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(crate) fn protect_none(&self, offset: usize, len: usize) {
        // SAFETY: as in `advise`.
        unsafe { rustix::mm::mprotect(self.at(offset, len), len, MprotectFlags::empty()) }.unwrap();
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let start = ptr::with_exposed_provenance_mut(self.used.start);
        // SAFETY: all of it is this area's own.
        let _ = unsafe { rustix::mm::munmap(start, self.used.len()) };
    }
}
