//! The file systems that programs expect.

use std::fs;

use rustix::mount::{MountFlags, mount};

/// Type, place, and the options that the kernel needs; in order, for some lie in others.
const MOUNTS: [(&str, &str, &str); 12] = [
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("devpts", "/dev/pts", "ptmxmode=0666,mode=0620"),
    ("tmpfs", "/tmp", "mode=1777"),
    ("tmpfs", "/run", "mode=0755"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("debugfs", "/sys/kernel/debug", ""),
    ("tracefs", "/sys/kernel/tracing", ""),
    ("bpf", "/sys/fs/bpf", ""),
    ("cgroup2", "/sys/fs/cgroup", ""),
    ("hugetlbfs", "/dev/hugepages", ""),
];

/// Mounts all; gives a sentence for each that this kernel does not have, which is for the command to care about.
pub(super) fn mount_all() -> Vec<String> {
    let mut troubles = Vec::new();
    for (kind, place, options) in MOUNTS {
        let _ = fs::create_dir_all(place);
        let options = std::ffi::CString::new(options).unwrap_or_default();
        if let Err(error) = mount(kind, place, kind, MountFlags::empty(), options.as_c_str()) {
            troubles.push(format!("{place} ({kind}) is not mounted: {error}"));
        }
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        let _ = std::os::unix::fs::symlink(target, link);
    }
    troubles
}
