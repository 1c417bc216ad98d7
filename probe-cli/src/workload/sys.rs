//! The system calls and memory accesses that a workload is made of, behind a safe face.
//!
//! Everything here acts on a [`Reservation`], which nobody else has a reference into, so that no
//! call can take memory away from the rest of the program.
#![expect(unsafe_code, reason = "mapping, advising and touching memory is what a workload does")]

use std::{
    cell::Cell,
    ffi::c_void,
    io::{self, Write as _},
    ops::Range,
    os::fd::AsRawFd as _,
    ptr,
};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

/// What to map into a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backing {
    /// Nothing: only the addresses are kept, and memory that was there is freed.
    Nothing,
    /// Private anonymous memory.
    Anonymous,
    /// Shared anonymous memory: that of a file which has no name.
    Shared,
    /// Private anonymous hugetlb pages of 2^shift bytes.
    Hugetlb {
        /// log2 of the page size in bytes.
        shift: u32,
    },
}

/// Advice to `madvise(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// `MADV_HUGEPAGE`
    HugePage,
    /// `MADV_NOHUGEPAGE`
    NoHugePage,
    /// `MADV_FREE`
    Free,
    /// `MADV_DONTNEED`
    DontNeed,
    /// `MADV_COLLAPSE`
    Collapse,
    /// `MADV_COLD`
    Cold,
    /// `MADV_WILLNEED`
    WillNeed,
    /// `MADV_POPULATE_READ`
    Populate,
    /// `MADV_GUARD_INSTALL`
    GuardInstall,
    /// `MADV_GUARD_REMOVE`
    GuardRemove,
}

/// Linux 6.13 (`include/uapi/asm-generic/mman-common.h`); libc does not have them.
const MADV_GUARD_INSTALL: libc::c_int = 102;
const MADV_GUARD_REMOVE: libc::c_int = 103;

impl Advice {
    const fn number(self) -> libc::c_int {
        match self {
            Self::HugePage => libc::MADV_HUGEPAGE,
            Self::NoHugePage => libc::MADV_NOHUGEPAGE,
            Self::Free => libc::MADV_FREE,
            Self::DontNeed => libc::MADV_DONTNEED,
            Self::Collapse => libc::MADV_COLLAPSE,
            Self::Cold => libc::MADV_COLD,
            Self::WillNeed => libc::MADV_WILLNEED,
            Self::Populate => libc::MADV_POPULATE_READ,
            Self::GuardInstall => MADV_GUARD_INSTALL,
            Self::GuardRemove => MADV_GUARD_REMOVE,
        }
    }

    /// For messages.
    pub(super) const fn call(self) -> &'static str {
        match self {
            Self::HugePage => "madvise(MADV_HUGEPAGE)",
            Self::NoHugePage => "madvise(MADV_NOHUGEPAGE)",
            Self::Free => "madvise(MADV_FREE)",
            Self::DontNeed => "madvise(MADV_DONTNEED)",
            Self::Collapse => "madvise(MADV_COLLAPSE)",
            Self::Cold => "madvise(MADV_COLD)",
            Self::WillNeed => "madvise(MADV_WILLNEED)",
            Self::Populate => "madvise(MADV_POPULATE_READ)",
            Self::GuardInstall => "madvise(MADV_GUARD_INSTALL)",
            Self::GuardRemove => "madvise(MADV_GUARD_REMOVE)",
        }
    }
}

/// Addresses that belong to nobody else, until they are dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    range: Range<usize>,
    /// A part of it was given to somebody else while it was unmapped.
    shared: Cell<bool>,
}

impl Reservation {
    /// Reserves `len` bytes of addresses, inaccessible and without memory, from a multiple of `align` on: where both are
    /// multiples of what a PMD entry maps, no entry is shared with anything else.
    pub(super) fn new(len: usize, align: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let all = len.checked_add(align).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let base =
            unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), all, ProtFlags::empty(), flags)? };
        let base = base.addr();
        let start = base.next_multiple_of(align);
        for surplus in [base..start, start + len..base + all] {
            if !surplus.is_empty() {
                let from = ptr::with_exposed_provenance_mut(surplus.start);
                // SAFETY: a part of what was mapped a moment ago, which nobody knows yet.
                unsafe { rustix::mm::munmap(from, surplus.len())? };
            }
        }
        Ok(Self { range: start..start + len, shared: Cell::new(false) })
    }

    /// First address and one past the last.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    fn pointer(&self, range: &Range<usize>) -> *mut c_void {
        assert!(
            range.start < range.end
                && self.range.start <= range.start
                && range.end <= self.range.end,
            "{range:x?} is not inside the reservation {:x?}",
            self.range
        );
        ptr::with_exposed_provenance_mut(range.start)
    }

    /// Replaces whatever is mapped in `range`.
    pub(super) fn map(&self, range: &Range<usize>, backing: Backing) -> io::Result<()> {
        let fixed = MapFlags::PRIVATE | MapFlags::FIXED;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let (protection, flags) = match backing {
            Backing::Nothing => (ProtFlags::empty(), fixed | MapFlags::NORESERVE),
            Backing::Anonymous => (access, fixed),
            Backing::Shared => (access, MapFlags::SHARED | MapFlags::FIXED),
            Backing::Hugetlb { shift } => {
                let size = MapFlags::from_bits_retain(shift << libc::MAP_HUGE_SHIFT);
                (access, fixed | MapFlags::HUGETLB | size)
            }
        };
        if self.shared.get() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let start = self.pointer(range);
        // SAFETY: `pointer` checked that the range is this reservation's own, which has no
        // references into it.
        unsafe { rustix::mm::mmap_anonymous(start, range.len(), protection, flags)? };
        Ok(())
    }

    /// Unmaps `range`, and at once takes its addresses back, inaccessible.
    pub(super) fn unmap(&self, range: &Range<usize>) -> io::Result<()> {
        let start = self.pointer(range);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: as in `map`. Between the two calls another thread of this program can be given
        // the addresses; the second call then replaces nothing and fails (or, on a kernel before
        // 4.17, maps elsewhere), and `shared` keeps the reservation from mapping over them.
        let taken = unsafe {
            rustix::mm::munmap(start, range.len())?;
            self.shared.set(true);
            rustix::mm::mmap_anonymous(start, range.len(), ProtFlags::empty(), flags)?
        };
        self.shared.set(taken != start);
        Ok(())
    }

    /// Makes `range` read-only.
    pub(super) fn protect(&self, range: &Range<usize>) -> io::Result<()> {
        self.access(range, MprotectFlags::READ)
    }

    /// Makes `range` writable again.
    pub(super) fn unprotect(&self, range: &Range<usize>) -> io::Result<()> {
        self.access(range, MprotectFlags::READ | MprotectFlags::WRITE)
    }

    fn access(&self, range: &Range<usize>, access: MprotectFlags) -> io::Result<()> {
        // SAFETY: as in `map`.
        unsafe { rustix::mm::mprotect(self.pointer(range), range.len(), access)? };
        Ok(())
    }

    /// Moves what `range` holds over that of another reservation, and leaves `range` mapped but empty.
    pub(super) fn move_to(
        &self,
        range: &Range<usize>,
        other: &Self,
        to: &Range<usize>,
    ) -> io::Result<()> {
        assert_eq!(range.len(), to.len(), "both ranges are of one size");
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        let (from, to) = (self.pointer(range), other.pointer(to));
        // SAFETY: as in `map`, for both ranges.
        let result = unsafe { libc::mremap(from, range.len(), range.len(), flags, to) };
        if result == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// `madvise(2)` on `range`.
    pub(super) fn advise(&self, range: &Range<usize>, advice: Advice) -> io::Result<()> {
        // SAFETY: as in `map`: where an advice takes contents or access away, nobody has a reference.
        let result = unsafe { libc::madvise(self.pointer(range), range.len(), advice.number()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Writes one byte at `address`; `SIGSEGV` when nothing writable is mapped there.
    pub(super) fn write(&self, address: usize) {
        let byte = self.pointer(&(address..address + 1)).cast::<u8>();
        // SAFETY: the address is the reservation's own, and any byte is a valid u8. Volatile:
        // the write is done for the page fault, the compiler must not drop or merge it.
        unsafe { byte.write_volatile(1) };
    }

    /// Reads one byte at `address`; `SIGSEGV` when nothing is mapped there.
    pub(super) fn read(&self, address: usize) -> u8 {
        let byte = self.pointer(&(address..address + 1)).cast::<u8>();
        // SAFETY: as in `write`.
        unsafe { byte.read_volatile() }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.shared.get() {
            return;
        }
        // SAFETY: all of it is still the reservation's own, and nobody has references into it.
        let result = unsafe {
            rustix::mm::munmap(ptr::with_exposed_provenance_mut(self.range.start), self.range.len())
        };
        debug_assert!(result.is_ok(), "munmap of {:x?}: {result:?}", self.range);
    }
}

/// Whether the kernel knows an advice: with no bytes to act on, it only checks that
/// (mm/madvise.c, `madvise_behavior_valid`, before the length).
pub(super) fn knows(advice: Advice) -> bool {
    // SAFETY: no bytes are concerned.
    unsafe { libc::madvise(ptr::null_mut(), 0, advice.number()) == 0 }
}

/// Page faults of the calling thread that needed no I/O, so far.
pub(super) fn minor_faults() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the structure, which is valid when all zero too.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_minflt
    }
}

/// While it lives, NUMA balancing leaves the calling thread's memory alone.
///
/// A task with a memory policy of its own is not scanned (mm/mempolicy.c, `vma_policy_mof`:
/// only the default policy has `MPOL_F_MOF`), so there are no hinting faults.
#[derive(Debug)]
pub(super) struct NoNumaBalancing {
    changed: bool,
}

impl NoNumaBalancing {
    pub(super) fn begin() -> Self {
        let mut mode: libc::c_int = -1;
        // SAFETY: get_mempolicy writes one int; no node mask is asked for. set_mempolicy with
        // no nodes reads nothing.
        let changed = unsafe {
            libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, 0, 0, 0, 0) == 0
                && mode == libc::MPOL_DEFAULT
                && libc::syscall(libc::SYS_set_mempolicy, libc::MPOL_PREFERRED, 0, 0) == 0
        };
        Self { changed }
    }
}

impl Drop for NoNumaBalancing {
    fn drop(&mut self) {
        if self.changed {
            // SAFETY: reads nothing.
            unsafe { libc::syscall(libc::SYS_set_mempolicy, libc::MPOL_DEFAULT, 0, 0) };
        }
    }
}

/// A copy of this process that waits and does nothing until it is dropped.
#[derive(Debug)]
pub(super) struct SleepingChild {
    pid: libc::pid_t,
    wake: io::PipeWriter,
}

impl SleepingChild {
    /// `fork(2)`.
    pub(super) fn new() -> io::Result<Self> {
        let (sleep, wake) = io::pipe()?;
        // SAFETY: the child only calls functions that are safe after a fork of a process with
        // threads: close, read and _exit.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let mut byte = 0_u8;
                // SAFETY: `read` writes one byte into `byte`; it returns when a byte comes, and
                // when the parent is gone. The child never comes back into Rust's hands.
                unsafe {
                    libc::close(wake.as_raw_fd());
                    libc::read(sleep.as_raw_fd(), (&raw mut byte).cast(), 1);
                    libc::_exit(0)
                }
            }
            pid => Ok(Self { pid, wake }),
        }
    }
}

impl Drop for SleepingChild {
    fn drop(&mut self) {
        // A byte and not the closed pipe: a child of another thread may hold a copy of it.
        let _ = self.wake.write_all(b"x");
        loop {
            let mut status = 0;
            // SAFETY: waits for our own child, and writes one int.
            let result = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
            if result != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }
}
