//! userfaultfd, as far as it makes leaves (include/uapi/linux/userfaultfd.h).

use std::{
    io,
    ops::Range,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use crate::memory::Area;

/// What a kernel's userfaultfd can do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Feature {
    /// Write-protect pages.
    PagefaultFlagWp,
    /// The same in hugetlb and shared memory, by markers where nothing is.
    WpHugetlbfsShmem,
    /// The same in anonymous memory where nothing is.
    WpUnpopulated,
    /// Poison pages.
    Poison,
    /// Move pages.
    Move,
}

impl Feature {
    /// `UFFD_FEATURE_*`.
    pub(crate) const fn bit(self) -> u64 {
        match self {
            Self::PagefaultFlagWp => 1,
            Self::WpHugetlbfsShmem => 1 << 12,
            Self::WpUnpopulated => 1 << 13,
            Self::Poison => 1 << 14,
            Self::Move => 1 << 16,
        }
    }

    /// The kernel that brought it.
    pub(crate) const fn since(self) -> &'static str {
        match self {
            Self::PagefaultFlagWp => "Linux 5.7",
            Self::WpHugetlbfsShmem => "Linux 5.19",
            Self::WpUnpopulated => "Linux 6.4",
            Self::Poison => "Linux 6.6",
            Self::Move => "Linux 6.8",
        }
    }
}

/// `UFFDIO_*`: the direction, the size of the argument, 0xaa, and the number.
const API: u64 = 0xc018_aa3f;
const REGISTER: u64 = 0xc020_aa00;
const COPY: u64 = 0xc028_aa03;
const MOVE: u64 = 0xc028_aa05;
const WRITE_PROTECT: u64 = 0xc018_aa06;
const POISON: u64 = 0xc020_aa08;

/// `_UFFD_API`.
const VERSION: u64 = 0xaa;
/// `UFFDIO_REGISTER_MODE_*`.
const MISSING: u64 = 1;
const WP: u64 = 2;
/// `UFFDIO_WRITEPROTECT_MODE_WP`.
const PROTECT: u64 = 1;

/// A userfaultfd that nobody reads: who touches what it watches waits for ever.
pub(crate) struct Uffd(OwnedFd);

/// What this kernel's can do.
pub(crate) fn features() -> io::Result<u64> {
    let mut api = [VERSION, 0, 0];
    Uffd::create()?.ask(API, &mut api)?;
    Ok(api[1])
}

impl Uffd {
    /// Write-protects what it watches in an area.
    pub(crate) fn to_protect(area: &Area, features: &[Feature]) -> io::Result<Self> {
        Self::watch(area, WP, features)
    }

    /// Fills what is missing in an area, with what these features allow.
    pub(crate) fn to_fill(area: &Area, features: &[Feature]) -> io::Result<Self> {
        Self::watch(area, MISSING, features)
    }

    fn watch(area: &Area, mode: u64, features: &[Feature]) -> io::Result<Self> {
        let uffd = Self::create()?;
        let features = features.iter().fold(0, |bits, feature| bits | feature.bit());
        uffd.ask(API, &mut [VERSION, features, 0])?;
        let (start, length) = within(area, 0..area.length());
        uffd.ask(REGISTER, &mut [start, length, mode, 0])?;
        Ok(uffd)
    }

    /// Write-protects.
    pub(crate) fn protect(&self, area: &Area, range: Range<usize>) -> io::Result<()> {
        let (start, length) = within(area, range);
        self.ask(WRITE_PROTECT, &mut [start, length, PROTECT])
    }

    /// Fills pages that are not there with copies of others.
    pub(crate) fn copy(&self, area: &Area, range: Range<usize>, from: &Area) -> io::Result<()> {
        self.bring(COPY, area, range, from)
    }

    /// Fills pages that are not there with others, which are not there any more.
    pub(crate) fn bring_away(
        &self,
        area: &Area,
        range: Range<usize>,
        from: &Area,
    ) -> io::Result<()> {
        self.bring(MOVE, area, range, from)
    }

    fn bring(&self, how: u64, area: &Area, range: Range<usize>, from: &Area) -> io::Result<()> {
        let (start, length) = within(area, range);
        let mut request = [start, from.range().start, length, 0, 0];
        self.ask(how, &mut request)?;
        // The last number is how many bytes came.
        if request[4] == length { Ok(()) } else { Err(io::Error::other("a part only")) }
    }

    /// Poisons pages that are not there.
    pub(crate) fn poison(&self, area: &Area, range: Range<usize>) -> io::Result<()> {
        let (start, length) = within(area, range);
        let mut request = [start, length, 0, 0];
        self.ask(POISON, &mut request)?;
        // The last number is how many bytes were poisoned.
        if request[3] == length { Ok(()) } else { Err(io::Error::other("poisoned a part only")) }
    }

    #[expect(unsafe_code, reason = "userfaultfd has no safe interface")]
    fn create() -> io::Result<Self> {
        // SAFETY: the system call takes flags and gives a new file descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is new, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    #[expect(unsafe_code, reason = "userfaultfd has no safe interface")]
    fn ask<const N: usize>(&self, request: u64, argument: &mut [u64; N]) -> io::Result<()> {
        // The bits from 16 on are the size of the argument (include/uapi/asm-generic/ioctl.h).
        assert_eq!(usize::try_from(request >> 16 & 0x3fff).ok(), Some(size_of_val(argument)));
        // SAFETY: the argument is as long as the request says; no memory is written elsewhere.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument.as_mut_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// First address and length of a part of an area.
fn within(area: &Area, range: Range<usize>) -> (u64, u64) {
    let part = area.part(range).range();
    (part.start, part.end - part.start)
}
