//! The system calls that make the kernel walk, behind a safe face: none of them takes memory away, or writes into it.
#![expect(unsafe_code, reason = "system calls on memory whose pages are walked")]

use std::{
    ffi::c_void,
    io,
    ops::Range,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr,
};

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn pointer(address: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(address)
}

/// `mincore(2)`; `vector` has a byte for each page.
pub(super) fn mincore(range: &Range<usize>, vector: &mut [u8]) -> io::Result<()> {
    assert!(vector.len() >= range.len().div_ceil(page()), "a byte for each page");
    // SAFETY: the kernel writes a byte for each page, for which there is room.
    let result = unsafe { libc::mincore(pointer(range.start), range.len(), vector.as_mut_ptr()) };
    check(result.into())
}

pub(super) fn page() -> usize {
    rustix::param::page_size()
}

/// `mlock(2)`, or `munlock(2)`.
pub(super) fn lock(range: &Range<usize>, locked: bool) -> io::Result<()> {
    // SAFETY: pages are kept in memory, or not; their contents stay.
    let result = unsafe {
        if locked {
            libc::mlock(pointer(range.start), range.len())
        } else {
            libc::munlock(pointer(range.start), range.len())
        }
    };
    check(result.into())
}

/// `madvise(2)` with `MADV_POPULATE_READ` (Linux 5.14): page tables for all of it, as if each page had been read.
pub(super) fn map_for_reading(range: &Range<usize>) -> io::Result<()> {
    // SAFETY: contents stay as they are.
    check(unsafe {
        libc::madvise(pointer(range.start), range.len(), libc::MADV_POPULATE_READ).into()
    })
}

/// Room for the numbers of all memory nodes of any kernel (`MAX_NUMNODES`).
const NODES: usize = 1024;

/// `mbind(2)` to all nodes that this process may use, with `MPOL_MF_STRICT`: everything is looked at, and nothing moved.
pub(super) fn bind(range: &Range<usize>) -> io::Result<()> {
    const MPOL_F_MEMS_ALLOWED: usize = 1 << 2;
    const MPOL_MF_STRICT: usize = 1 << 0;
    let mut nodes = [0_u64; NODES / 64];
    // SAFETY: the kernel writes so many bits at the most.
    check(unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            ptr::null_mut::<c_void>(),
            nodes.as_mut_ptr(),
            NODES,
            0_usize,
            MPOL_F_MEMS_ALLOWED,
        )
    })?;
    // SAFETY: the kernel reads so many bits at the most. A policy is about pages that are not there yet.
    check(unsafe {
        libc::syscall(
            libc::SYS_mbind,
            range.start,
            range.len(),
            libc::MPOL_BIND,
            nodes.as_ptr(),
            NODES,
            MPOL_MF_STRICT,
        )
    })
}

/// `process_vm_readv(2)` of a byte of this process.
pub(super) fn read_remotely(address: usize) -> io::Result<u8> {
    let mut byte = 0_u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: pointer(address), iov_len: 1 };
    // SAFETY: the kernel writes one byte into `byte`.
    let read = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    check(read as libc::c_long)?;
    Ok(byte)
}

/// `vmsplice(2)` of a page into a pipe.
pub(super) fn splice(address: usize, pipe: BorrowedFd<'_>) -> io::Result<()> {
    let page = libc::iovec { iov_base: pointer(address), iov_len: page() };
    // SAFETY: the pipe refers to the page, which stays; the kernel reads it when the pipe is read.
    check(unsafe { libc::vmsplice(pipe.as_raw_fd(), &raw const page, 1, 0) } as libc::c_long)
}
