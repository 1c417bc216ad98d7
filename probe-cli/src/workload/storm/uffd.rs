//! userfaultfd without a thread that serves it: who touches what is missing gets a signal
//! (include/uapi/linux/userfaultfd.h).

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{arena::Part, sys};

/// What a kernel's userfaultfd can do, as `UFFD_FEATURE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    /// Watch for missing pages of anonymous memory, which always can be.
    Missing = 0,
    /// Write-protect pages.
    Protect = 1,
    /// Poison pages.
    Poison = 1 << 14,
    /// Move pages.
    Move = 1 << 16,
}

/// What is used where it is there: signals instead of waiting; write-protection of shared memory and of what is not
/// there; missing pages of hugetlb and shared memory need no asking.
const SIGBUS: u64 = 1 << 7;
const WP_HUGETLBFS_SHMEM: u64 = 1 << 12;
const WP_UNPOPULATED: u64 = 1 << 13;

/// `UFFDIO_*`: the direction, the size of the argument, 0xaa, and the number.
const API: u64 = 0xc018_aa3f;
const REGISTER: u64 = 0xc020_aa00;
const UNREGISTER: u64 = 0x8010_aa01;
const COPY: u64 = 0xc028_aa03;
const ZEROPAGE: u64 = 0xc020_aa04;
const MOVE: u64 = 0xc028_aa05;
const WRITE_PROTECT: u64 = 0xc018_aa06;
const POISON: u64 = 0xc020_aa08;
/// `_UFFD_API`.
const VERSION: u64 = 0xaa;

/// `UFFDIO_REGISTER_MODE_*`.
pub(super) const MISSING: u64 = 1;
pub(super) const WP: u64 = 2;

/// The userfaultfd of a storm, for all its threads.
#[derive(Debug)]
pub(super) struct Uffd {
    fd: OwnedFd,
    features: u64,
    /// Held by who begins to watch, or relies on nobody doing so.
    watching: Mutex<()>,
}

impl Uffd {
    pub(super) fn new() -> io::Result<Self> {
        // What it can do is only told to one that is used for nothing else afterwards.
        let mut api = [VERSION, 0, 0];
        sys::ask(sys::userfaultfd()?.as_raw_fd(), API, &mut api)?;
        let wanted = [Feature::Protect, Feature::Poison, Feature::Move]
            .iter()
            .fold(SIGBUS | WP_HUGETLBFS_SHMEM | WP_UNPOPULATED, |bits, &feature| {
                bits | feature as u64
            });
        let features = api[1] & wanted;
        if features & SIGBUS == 0 {
            return Err(io::Error::other("it cannot send signals (Linux 4.14)"));
        }
        let fd = sys::userfaultfd()?;
        sys::ask(fd.as_raw_fd(), API, &mut [VERSION, features, 0])?;
        Ok(Self { fd, features, watching: Mutex::new(()) })
    }

    pub(super) fn has(&self, feature: Feature) -> bool {
        self.features & feature as u64 == feature as u64
    }

    pub(super) fn register(&self, part: &Part, mode: u64) -> io::Result<()> {
        let _watching = self.lock();
        let (start, length) = ends(part);
        self.ask(REGISTER, &mut [start, length, mode, 0])
    }

    pub(super) fn unregister(&self, part: &Part) -> io::Result<()> {
        let (start, length) = ends(part);
        self.ask(UNREGISTER, &mut [start, length])
    }

    /// Does something with a part that is not watched meanwhile, and has no marks of a watch before.
    pub(super) fn unwatched<T>(&self, part: &Part, work: impl FnOnce() -> T) -> T {
        let _watching = self.lock();
        self.forget(part);
        work()
    }

    /// Unregisters what can be: a range with a mapping that can never be watched is refused as a whole
    /// (fs/userfaultfd.c, `userfaultfd_unregister`).
    fn forget(&self, part: &Part) {
        if self.unregister(part).is_err()
            && let Some((first, second)) = part.halves()
        {
            self.forget(&first);
            self.forget(&second);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Write-protects, or ends that.
    pub(super) fn protect(&self, part: &Part, protect: bool) -> io::Result<()> {
        let (start, length) = ends(part);
        self.ask(WRITE_PROTECT, &mut [start, length, protect.into()])
    }

    pub(super) fn zero(&self, part: &Part) -> io::Result<()> {
        let (start, length) = ends(part);
        self.ask(ZEROPAGE, &mut [start, length, 0, 0])
    }

    /// Copies from elsewhere in the arena; write-protected if wished.
    pub(super) fn copy(&self, part: &Part, from: &Part, protect: bool) -> io::Result<()> {
        let (start, length) = ends(part);
        // UFFDIO_COPY_MODE_WP
        let mode = u64::from(protect) << 1;
        self.ask(COPY, &mut [start, ends(from).0, length, mode, 0])
    }

    /// Moves from elsewhere in the arena.
    pub(super) fn relocate(&self, part: &Part, from: &Part) -> io::Result<()> {
        let (start, length) = ends(part);
        // UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES
        self.ask(MOVE, &mut [start, ends(from).0, length, 2, 0])
    }

    pub(super) fn poison(&self, part: &Part) -> io::Result<()> {
        let (start, length) = ends(part);
        self.ask(POISON, &mut [start, length, 0, 0])
    }

    fn ask<const N: usize>(&self, request: u64, argument: &mut [u64; N]) -> io::Result<()> {
        sys::ask(self.fd.as_raw_fd(), request, argument)
    }
}

/// First address and length.
fn ends(part: &Part) -> (u64, u64) {
    (part.start() as u64, part.len() as u64)
}
