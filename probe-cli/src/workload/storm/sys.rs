//! The system calls of a storm, behind a safe face: what changes memory only takes a [`Part`] of the arena,
//! which nobody has references into.
#![expect(unsafe_code, reason = "mapping, moving and advising memory is what a storm does")]

use std::{
    ffi::{CStr, c_void},
    fs::File,
    io, mem,
    ops::Range,
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::fs::FileExt as _,
    },
    path::Path,
    ptr,
};

use rustix::{
    fs::{Mode, OFlags, open, openat},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
        fsopen,
    },
};

use super::arena::Part;

/// What is mapped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Backing<'a> {
    /// Anonymous memory.
    Anonymous,
    /// A file, at the part's distance from the beginning of its slot.
    File(&'a File),
}

/// Nothing, or the reason why a system call did nothing.
fn check(result: impl Into<i64>) -> io::Result<()> {
    if result.into() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn pointer(address: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(address)
}

/// Fails unless nothing is mapped in a range.
pub(super) fn is_free(range: Range<usize>) -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let flags = flags | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a new mapping, which replaces nothing.
    let got =
        unsafe { libc::mmap(pointer(range.start), range.len(), libc::PROT_NONE, flags, -1, 0) };
    if got == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: what was mapped a moment ago.
    check(unsafe { libc::munmap(got, range.len()) })?;
    if got == pointer(range.start) {
        Ok(())
    } else {
        Err(io::Error::other("the kernel has no MAP_FIXED_NOREPLACE (Linux 4.17)"))
    }
}

/// Maps something, in place of what was there; `flags` are those besides MAP_FIXED and MAP_ANONYMOUS.
pub(super) fn map(part: &Part, access: i32, flags: i32, backing: Backing) -> io::Result<()> {
    let (more, file, offset) = match backing {
        Backing::Anonymous => (libc::MAP_ANONYMOUS, -1, 0),
        Backing::File(file) => (0, file.as_raw_fd(), part.offset),
    };
    let flags = flags | more | libc::MAP_FIXED;
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    // SAFETY: only replaces what is in the arena.
    let got = unsafe { libc::mmap(pointer(part.start()), part.len(), access, flags, file, offset) };
    if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(super) fn unmap(part: &Part) -> io::Result<()> {
    // SAFETY: in the arena.
    check(unsafe { libc::munmap(pointer(part.start()), part.len()) })
}

/// Makes the mapping of `old` as long as `length`, which does not lead out of its slot, where it is.
pub(super) fn resize(old: &Part, length: usize) -> io::Result<()> {
    // SAFETY: in the arena; it is not moved.
    let got = unsafe { libc::mremap(pointer(old.start()), old.len(), length, 0) };
    if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Moves a mapping to another part; `flags` are those besides MREMAP_MAYMOVE and MREMAP_FIXED.
pub(super) fn relocate(old: &Part, new: &Part, flags: i32) -> io::Result<()> {
    let flags = flags | libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: from the arena to the arena.
    let got = unsafe {
        libc::mremap(pointer(old.start()), old.len(), new.len(), flags, pointer(new.start()))
    };
    if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(super) fn protect(part: &Part, access: i32) -> io::Result<()> {
    // SAFETY: in the arena.
    check(unsafe { libc::mprotect(pointer(part.start()), part.len(), access) })
}

pub(super) fn advise(part: &Part, advice: i32) -> io::Result<()> {
    // SAFETY: in the arena, whose contents nobody needs.
    check(unsafe { libc::madvise(pointer(part.start()), part.len(), advice) })
}

/// Whether the kernel knows an advice: with no bytes to act on, it only checks that
/// (mm/madvise.c, `madvise_behavior_valid`, before the length).
pub(super) fn knows(advice: i32) -> bool {
    // SAFETY: no bytes are concerned.
    unsafe { libc::madvise(ptr::null_mut(), 0, advice) == 0 }
}

/// Locks; with `MLOCK_ONFAULT` only what is there or comes.
pub(super) fn lock(part: &Part, flags: u32) -> io::Result<()> {
    // SAFETY: in the arena.
    check(unsafe { libc::syscall(libc::SYS_mlock2, part.start(), part.len(), flags) })
}

pub(super) fn unlock(part: &Part) -> io::Result<()> {
    // SAFETY: in the arena.
    check(unsafe { libc::munlock(pointer(part.start()), part.len()) })
}

/// One byte of each of some addresses.
fn bytes(addresses: &[usize]) -> Vec<libc::iovec> {
    addresses.iter().map(|&at| libc::iovec { iov_base: pointer(at), iov_len: 1 }).collect()
}

/// Lets the kernel write a byte to each of at most 1024 addresses of the arena; ends at the first that it cannot
/// write to.
pub(super) fn kernel_writes(addresses: &[usize], source: &File) -> io::Result<()> {
    let bytes = bytes(addresses);
    let count = i32::try_from(bytes.len()).map_err(io::Error::other)?;
    // SAFETY: so many buffers, all in the arena.
    let done = unsafe { libc::preadv(source.as_raw_fd(), bytes.as_ptr(), count, 0) };
    check(i64::try_from(done).map_err(io::Error::other)?)
}

/// The same, reading.
pub(super) fn kernel_reads(addresses: &[usize], sink: &File) -> io::Result<()> {
    let bytes = bytes(addresses);
    let count = i32::try_from(bytes.len()).map_err(io::Error::other)?;
    // SAFETY: so many buffers, all in the arena.
    let done = unsafe { libc::pwritev(sink.as_raw_fd(), bytes.as_ptr(), count, 0) };
    check(i64::try_from(done).map_err(io::Error::other)?)
}

/// Lets the kernel fill a part with zeroes.
pub(super) fn fill(part: &Part, zeroes: &File) -> io::Result<()> {
    // SAFETY: in the arena.
    let done = unsafe { libc::read(zeroes.as_raw_fd(), pointer(part.start()), part.len()) };
    check(i64::try_from(done).map_err(io::Error::other)?)
}

/// A child that does something and ends; returns when it has ended.
///
/// What it does is done after a fork of a process with threads: no memory may be allocated, no lock taken.
pub(super) fn child(work: impl FnOnce()) -> io::Result<()> {
    // SAFETY: the child only does `work`, of which every caller in this module's neighbours makes sure
    // that it makes system calls and touches memory, and _exit.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            work();
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) }
        }
        pid => loop {
            // SAFETY: waits for our own child; its status is not asked for.
            let ended = unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
            let error = io::Error::last_os_error();
            if ended == pid {
                return Ok(());
            }
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        },
    }
}

/// Becomes a program without output, in a child; returns when it cannot.
pub(super) fn become_program(path: &CStr, null: &File) {
    let arguments = [path.as_ptr(), ptr::null()];
    let environment = [ptr::null()];
    // SAFETY: the arrays end with a null pointer, the strings with a zero.
    unsafe {
        libc::dup2(null.as_raw_fd(), 1);
        libc::dup2(null.as_raw_fd(), 2);
        libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
}

pub(super) fn userfaultfd() -> io::Result<OwnedFd> {
    // SAFETY: the system call takes flags and gives a new file descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
    check(fd)?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: it is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An ioctl of userfaultfd, whose argument is as long as the request says.
pub(super) fn ask<const N: usize>(
    fd: RawFd,
    request: u64,
    argument: &mut [u64; N],
) -> io::Result<()> {
    // The bits from 16 on are the size of the argument (include/uapi/asm-generic/ioctl.h).
    assert_eq!(usize::try_from(request >> 16 & 0x3fff).ok(), Some(mem::size_of_val(argument)));
    // SAFETY: the argument is as long as the request says; memory is only changed in the arena.
    check(unsafe { libc::ioctl(fd, request, argument.as_mut_ptr()) })
}

/// A memfd; flags are `MFD_*`.
pub(super) fn memfd(length: usize, flags: u32) -> io::Result<File> {
    let flags = rustix::fs::MemfdFlags::from_bits_retain(flags | libc::MFD_CLOEXEC);
    let file = File::from(rustix::fs::memfd_create("walkprobe-storm", flags)?);
    file.set_len(length as u64)?;
    Ok(file)
}

/// A file of bytes that are not zero, to be read from.
pub(super) fn pattern(length: usize) -> io::Result<File> {
    let file = memfd(length, 0)?;
    file.write_all_at(&[0xa5; 4096], 0)?;
    Ok(file)
}

/// A file in a folder, without a name.
pub(super) fn unnamed_file(folder: &Path, length: usize) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let access = Mode::RUSR | Mode::WUSR;
    let file = if let Ok(file) = open(folder, flags, access) {
        file
    } else {
        // Not every file system makes files without a name.
        let path = folder.join(format!("walkprobe-storm-{}", std::process::id()));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = open(&path, flags, access)?;
        std::fs::remove_file(&path)?;
        file
    };
    let file = File::from(file);
    file.set_len(length as u64)?;
    Ok(file)
}

/// A file in a tmpfs of its own that gives huge pages, which no path leads to.
pub(super) fn huge_tmpfs_file(length: usize) -> io::Result<File> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "huge", "always")?;
    fsconfig_create(context.as_fd())?;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(openat(&mount, "file", flags, Mode::RUSR | Mode::WUSR)?);
    file.set_len(length as u64)?;
    Ok(file)
}

/// Frees a part of a file, which stays as long as it is.
pub(super) fn punch(file: &File, range: Range<usize>) -> io::Result<()> {
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, range.start as u64, range.len() as u64)?)
}
