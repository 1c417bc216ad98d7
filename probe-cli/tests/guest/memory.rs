//! Memory of this process with known leaves.

use std::{
    ffi::c_void,
    fs::File,
    io,
    ops::Range,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr,
};

pub(crate) const PAGE: usize = 4 << 10;
pub(crate) const PMD: usize = 2 << 20;
pub(crate) const PUD: usize = 1 << 30;

/// Linux 6.13 (`include/uapi/asm-generic/mman-common.h`).
const MADV_GUARD_INSTALL: i32 = 102;

/// Memory, aligned to 1 GiB where it is huge and to 2 MiB elsewhere, with room on both sides so that
/// no other VMA joins it. A part of another area does not own it.
pub(crate) struct Area {
    start: usize,
    length: usize,
    hugetlb: bool,
    mapping: Option<Range<usize>>,
}

/// What is mapped.
#[derive(Clone, Copy)]
pub(crate) enum Backing<'a> {
    /// Nothing yet: anonymous memory.
    Anonymous,
    /// Private hugetlb memory of pages of this size.
    Hugetlb(usize),
    /// A file or memfd, shared.
    Shared(BorrowedFd<'a>),
    /// A hugetlb memfd, shared, at a multiple of this; nothing is reserved.
    SharedHugetlb(BorrowedFd<'a>, usize),
    /// Memory of a device: its file, and where in that it begins.
    Device(BorrowedFd<'a>, i64),
}

/// Flags, file descriptor and offset for mmap.
type Arguments = (i32, i32, i64);

impl Backing<'_> {
    fn arguments(self) -> Arguments {
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        match self {
            Self::Anonymous => (anonymous | libc::MAP_NORESERVE, -1, 0),
            Self::Hugetlb(size) => {
                let log = i32::try_from(size.trailing_zeros()).unwrap_or(0);
                (anonymous | libc::MAP_HUGETLB | log << libc::MAP_HUGE_SHIFT, -1, 0)
            }
            Self::Shared(file) => (libc::MAP_SHARED, file.as_raw_fd(), 0),
            Self::SharedHugetlb(file, _) => {
                (libc::MAP_SHARED | libc::MAP_NORESERVE, file.as_raw_fd(), 0)
            }
            Self::Device(file, offset) => (libc::MAP_SHARED, file.as_raw_fd(), offset),
        }
    }

    fn alignment(self) -> usize {
        match self {
            Self::Hugetlb(size) | Self::SharedHugetlb(_, size) => size,
            Self::Device(..) => PUD,
            _ => PAGE,
        }
    }
}

#[expect(unsafe_code, reason = "maps memory whose page tables are looked at")]
impl Area {
    /// Memory without THP.
    pub(crate) fn base(length: usize) -> io::Result<Self> {
        let area = Self::new(length, Backing::Anonymous)?;
        area.advise(0..length, libc::MADV_NOHUGEPAGE)?;
        Ok(area)
    }

    /// Memory with THP; `None` where it is switched off.
    pub(crate) fn huge(length: usize) -> io::Result<Option<Self>> {
        let switch = "/sys/kernel/mm/transparent_hugepage/enabled";
        match std::fs::read_to_string(switch) {
            Ok(text) if !text.contains("[never]") => {}
            _ => return Ok(None),
        }
        let area = Self::new(length, Backing::Anonymous)?;
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
        Ok(Self { start, length, hugetlb: false, mapping: Some(start..start + length) })
    }

    /// hugetlb memory of pages of `size` bytes; `None` when the pool has not enough.
    pub(crate) fn hugetlb(length: usize, size: usize) -> io::Result<Option<Self>> {
        match Self::new(length, Backing::Hugetlb(size)) {
            Ok(area) => Ok(Some(area)),
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Memory with something behind it.
    pub(crate) fn new(length: usize, backing: Backing) -> io::Result<Self> {
        Self::side_by_side(&[(length, backing)])
    }

    /// Neighbouring VMAs; each one's pages must not be larger than those of the one before.
    pub(crate) fn side_by_side(parts: &[(usize, Backing)]) -> io::Result<Self> {
        let align = parts.iter().map(|(_, backing)| backing.alignment()).fold(PMD, usize::max);
        let length: usize = parts.iter().map(|(length, _)| length).sum();
        let room = length + 2 * align;
        let around = Self::map(0, room, libc::PROT_NONE, Backing::Anonymous.arguments())?;
        let mapping = around..around + room;
        let start = (mapping.start + 1).next_multiple_of(align);
        let hugetlb = parts.iter().any(|(_, backing)| backing.alignment() > PAGE);
        // Dropped, and with it unmapped, when a mapping fails.
        let area = Self { start, length, hugetlb, mapping: Some(mapping) };
        let mut at = start;
        for (length, backing) in parts {
            let (flags, file, offset) = backing.arguments();
            let access = libc::PROT_READ | libc::PROT_WRITE;
            Self::map(at, *length, access, (flags | libc::MAP_FIXED, file, offset))?;
            at += length;
        }
        Ok(area)
    }

    /// Anonymous base pages near an address; the kernel may choose another one.
    pub(crate) fn near(address: usize, length: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let start = Self::map(address, length, access, Backing::Anonymous.arguments())?;
        let mapping = Some(start..start + length);
        let area = Self { start, length, hugetlb: false, mapping };
        area.advise(0..length, libc::MADV_NOHUGEPAGE)?;
        Ok(area)
    }

    /// Room of this length, whose last page is a VMA that grows downwards as it is touched, like a stack.
    pub(crate) fn stack(length: usize) -> io::Result<Self> {
        let area = Self::new(length, Backing::Anonymous)?;
        area.unmap(0..length)?;
        let (flags, file, offset) = Backing::Anonymous.arguments();
        let flags = flags | libc::MAP_FIXED | libc::MAP_GROWSDOWN;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        Self::map(area.start + length - PAGE, PAGE, access, (flags, file, offset))?;
        Ok(area)
    }

    /// Memory that is there already, and stays.
    pub(crate) fn existing(range: Range<u64>) -> Result<Self, std::num::TryFromIntError> {
        let (start, end) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
        Ok(Self { start, length: end - start, hugetlb: false, mapping: None })
    }

    fn map(
        at: usize,
        length: usize,
        access: i32,
        (flags, file, offset): Arguments,
    ) -> io::Result<usize> {
        // SAFETY: a new mapping, or one that replaces a part of a mapping of ours that nobody uses.
        let memory = unsafe { libc::mmap(at as *mut c_void, length, access, flags, file, offset) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(memory as usize)
    }

    /// In bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Whether it is hugetlb memory.
    pub(crate) fn is_hugetlb(&self) -> bool {
        self.hugetlb
    }

    /// A part of the area, in bytes from its beginning.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.length);
        let start = self.start + range.start;
        Self { start, length: range.len(), hugetlb: self.hugetlb, mapping: None }
    }

    /// The addresses.
    pub(crate) fn range(&self) -> Range<u64> {
        self.start as u64..(self.start + self.length) as u64
    }

    /// Writes to each page.
    pub(crate) fn write(&self, range: Range<usize>) {
        self.fill(range, 1);
    }

    /// Writes this to the first byte of each page.
    pub(crate) fn fill(&self, range: Range<usize>, byte: u8) {
        assert!(range.end <= self.length);
        for offset in range.step_by(PAGE) {
            // SAFETY: in our own writable mapping.
            unsafe { ptr::write_volatile((self.start + offset) as *mut u8, byte) };
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
        self.protect(range, libc::PROT_NONE)
    }

    /// Allows only this access; nobody may do more afterwards.
    pub(crate) fn protect(&self, range: Range<usize>, access: i32) -> io::Result<()> {
        assert!(range.end <= self.length);
        let start = (self.start + range.start) as *mut c_void;
        // SAFETY: our own mapping, in which the caller knows what it forbids.
        match unsafe { libc::mprotect(start, range.len(), access) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Unmaps a part.
    pub(crate) fn unmap(&self, range: Range<usize>) -> io::Result<()> {
        assert!(range.end <= self.length);
        let start = (self.start + range.start) as *mut c_void;
        // SAFETY: our own mapping, which nobody uses any more.
        match unsafe { libc::munmap(start, range.len()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Maps new anonymous memory in the place of a part.
    pub(crate) fn remap(&self, range: Range<usize>) -> io::Result<()> {
        assert!(range.end <= self.length);
        let (flags, file, offset) = Backing::Anonymous.arguments();
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let at = self.start + range.start;
        Self::map(at, range.len(), access, (flags | libc::MAP_FIXED, file, offset)).map(|_| ())
    }

    /// Moves a part to the beginning of another area, in the place of what is there.
    pub(crate) fn move_to(&self, range: Range<usize>, to: &Self) -> io::Result<()> {
        assert!(range.end <= self.length && range.len() <= to.length);
        let start = (self.start + range.start) as *mut c_void;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: two parts of our own mappings, which nobody refers to.
        let moved = unsafe {
            libc::mremap(start, range.len(), range.len(), flags, to.start as *mut c_void)
        };
        if moved == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes a part longer where it is; nothing may be mapped behind it.
    pub(crate) fn grow(&self, range: Range<usize>, length: usize) -> io::Result<()> {
        assert!(range.start + length <= self.length);
        let start = (self.start + range.start) as *mut c_void;
        // SAFETY: our own mapping, which stays where it is.
        let grown = unsafe { libc::mremap(start, range.len(), length, 0) };
        if grown == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Locks a part in memory.
    pub(crate) fn lock(&self, range: Range<usize>) -> io::Result<()> {
        let part = self.part(range);
        // SAFETY: our own mapping; no memory is written.
        match unsafe { libc::mlock(part.start as *const c_void, part.length) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Makes a guard region.
    pub(crate) fn guard(&self, range: Range<usize>) -> io::Result<()> {
        self.advise(range, MADV_GUARD_INSTALL)
    }

    /// madvise.
    pub(crate) fn advise(&self, range: Range<usize>, advice: i32) -> io::Result<()> {
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
