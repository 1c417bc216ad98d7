//! Files whose pages are mapped: memfds, and a tmpfs that is mounted nowhere.

use std::{fs::File, io, os::fd::OwnedFd};

use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
        fsopen,
    },
};

/// A memfd of this length; flags are `MFD_*`.
pub(crate) fn memfd(length: usize, flags: u32) -> io::Result<File> {
    let flags = rustix::fs::MemfdFlags::from_bits_retain(flags | libc::MFD_CLOEXEC);
    let file = File::from(rustix::fs::memfd_create("walkprobe-test", flags)?);
    file.set_len(length as u64)?;
    Ok(file)
}

/// A file of this length in a tmpfs of its own, which no path leads to, so nobody else sees it, and
/// no setting of the machine is changed; `huge` is the mount option.
pub(crate) fn in_tmpfs(length: usize, huge: &str) -> io::Result<File> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "huge", huge)?;
    fsconfig_create(&context)?;
    let mount: OwnedFd = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(openat(&mount, "file", flags, Mode::RUSR | Mode::WUSR)?);
    file.set_len(length as u64)?;
    Ok(file)
}
