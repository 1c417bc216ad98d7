//! Which swap type markers have.
//!
//! It is the last one, but from Linux 5.19 to 6.1 `SWP_SWAPIN_ERROR` stands behind it
//! (`include/linux/swap.h`), and nothing in BTF tells. So a marker is made, and pagemap asked.

use std::{fs::File, io, os::fd::AsRawFd as _, os::unix::fs::FileExt as _, ptr};

use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, UserfaultfdFlags, mmap, munmap, userfaultfd},
};

const PAGE: usize = 4096;

// include/uapi/linux/userfaultfd.h
const USER_MODE_ONLY: u32 = 1;
const API: u64 = 0xc018_aa3f;
const REGISTER: u64 = 0xc020_aa00;
const WRITE_PROTECT: u64 = 0xc018_aa06;
const VERSION: u64 = 0xaa;
/// `UFFD_FEATURE_PAGEFAULT_FLAG_WP` and `UFFD_FEATURE_WP_HUGETLBFS_SHMEM`.
const FEATURES: u64 = 1 | 1 << 12;
const REGISTER_WP: u64 = 1 << 1;
const PROTECT: u64 = 1;

/// `PM_SWAP` and, for a reader that may see it, five bits of the type below the offset
/// (fs/proc/task_mmu.c, `pte_to_pagemap_entry`).
const SWAPPED: u64 = 1 << 62;
const TYPE: u64 = 31;
const OFFSET_SHIFT: u32 = 5;
const FRAME: u64 = (1 << 55) - 1;
/// `PTE_MARKER_UFFD_WP`, the value of the marker that is made.
const VALUE: u64 = 1;

/// The swap type of markers; `None` where no marker can be made, or pagemap does not show it.
pub(super) fn swap_type() -> Option<u8> {
    let entry = made().ok()?;
    (entry & SWAPPED != 0 && (entry & FRAME) >> OFFSET_SHIFT == VALUE)
        .then(|| (entry & TYPE).try_into().ok())
        .flatten()
}

/// The pagemap entry of a page of shared memory that was write-protected before it was there.
fn made() -> io::Result<u64> {
    let memory = memfd_create("walkprobe", MemfdFlags::CLOEXEC)?;
    ftruncate(&memory, PAGE as u64)?;
    // What only concerns faults in user mode needs no privilege.
    let flags = UserfaultfdFlags::from_bits_retain(USER_MODE_ONLY);
    #[expect(unsafe_code, reason = "makes a marker")]
    // SAFETY: it only watches the page below, which nobody touches.
    let uffd = unsafe { userfaultfd(flags | UserfaultfdFlags::CLOEXEC)? };
    ask(&uffd, API, &mut [VERSION, FEATURES, 0])?;
    #[expect(unsafe_code, reason = "memory for a marker")]
    // SAFETY: a new mapping at an address that the kernel chooses; nobody touches it.
    let page =
        unsafe { mmap(ptr::null_mut(), PAGE, ProtFlags::READ, MapFlags::SHARED, &memory, 0)? };
    let start = page as u64;
    let entry = ask(&uffd, REGISTER, &mut [start, PAGE as u64, REGISTER_WP, 0])
        .and_then(|()| ask(&uffd, WRITE_PROTECT, &mut [start, PAGE as u64, PROTECT]))
        .and_then(|()| {
            let mut entry = [0; 8];
            File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, start / PAGE as u64 * 8)?;
            Ok(u64::from_ne_bytes(entry))
        });
    #[expect(unsafe_code, reason = "gives the memory back")]
    // SAFETY: our own mapping, which nothing refers to any more.
    unsafe {
        munmap(page, PAGE)?;
    }
    entry
}

fn ask<const N: usize>(
    uffd: &std::os::fd::OwnedFd,
    request: u64,
    argument: &mut [u64; N],
) -> io::Result<()> {
    #[expect(unsafe_code, reason = "userfaultfd has no safe interface")]
    // SAFETY: each request's argument has the size that the request's number says.
    match unsafe { libc::ioctl(uffd.as_raw_fd(), request, argument.as_mut_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
