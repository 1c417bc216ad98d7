//! Virtual memory areas.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::leaf::{LeafSize, hexadecimal};

/// A virtual memory area of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vma {
    /// First address.
    #[serde(with = "hexadecimal")]
    pub start: u64,
    /// One past the last address.
    #[serde(with = "hexadecimal")]
    pub end: u64,
    /// What it may be used for.
    pub permissions: Permissions,
    /// What backs it.
    pub kind: VmaKind,
    /// The file, or the kernel's name in brackets, escaped; empty for unnamed anonymous memory.
    pub name: String,
    /// Byte offset of the first address in the file.
    pub offset: u64,
    /// The kernel's two-letter flags (`VmFlags` of smaps); absent when they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
}

/// What a VMA may be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the four letters of /proc/PID/maps")]
pub struct Permissions {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
    /// Executing.
    pub execute: bool,
    /// Changes are shared.
    pub shared: bool,
}

/// What backs a VMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VmaKind {
    /// Anonymous memory.
    Anonymous,
    /// A file.
    File,
    /// Shared memory: tmpfs, memfd, shared anonymous memory, SysV.
    Shmem,
    /// hugetlb pages of this size.
    Hugetlb(LeafSize),
    /// The main thread's stack.
    Stack,
    /// The heap of `brk`.
    Heap,
    /// The kernel's own: vdso, vvar, vsyscall, uprobes.
    Special,
}

impl Vma {
    /// The length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// The addresses.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.start..self.end
    }
}
