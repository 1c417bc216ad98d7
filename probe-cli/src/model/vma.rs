//! Virtual memory areas.

use std::{fmt, ops::Range};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::leaf::{LeafSize, hexadecimal};

/// A virtual memory area of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vma {
    /// First address.
    #[serde(with = "hexadecimal")]
    #[schemars(with = "crate::event::Address")]
    pub start: u64,
    /// One past the last address.
    #[serde(with = "hexadecimal")]
    #[schemars(with = "crate::event::Address")]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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

    /// How much memory it takes, about, in units of 100 bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        2 + self.name.len() / 100 + self.flags.as_ref().map_or(0, Vec::len) / 3
    }

    /// The addresses.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    /// What people call it: the file, the kernel's name in brackets, or what backs it.
    #[must_use]
    pub fn label(&self) -> String {
        if self.name.is_empty() { self.kind.to_string() } else { self.name.clone() }
    }

    /// Whether the kernel counts what is mapped here in the resident set size.
    ///
    /// Not hugetlb, which has its own counter; not mappings of bare page frames (`VM_PFNMAP`, flag
    /// `pf`), such as devices and `[vvar]`; not `[vsyscall]`, which belongs to no process
    /// (`vm_normal_page` in `mm/memory.c`, `smaps_account` in `fs/proc/task_mmu.c`).
    #[must_use]
    pub fn is_counted_in_rss(&self) -> bool {
        let bare = self.flags.as_ref().is_some_and(|flags| flags.iter().any(|flag| flag == "pf"));
        !self.kind.is_hugetlb()
            && !bare
            && !self.name.starts_with("[vvar")
            && self.name != "[vsyscall]"
    }
}

impl VmaKind {
    /// Whether its pages are those of a file, or of shared memory, which can be huge folios.
    #[must_use]
    pub const fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Shmem)
    }

    /// Whether it is of hugetlb.
    #[must_use]
    pub const fn is_hugetlb(self) -> bool {
        matches!(self, Self::Hugetlb(_))
    }
}

impl fmt::Display for VmaKind {
    /// `anon`, `file`, `hugetlb 2M`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "anon",
            Self::File => "file",
            Self::Shmem => "shmem",
            Self::Hugetlb(size) => return write!(f, "hugetlb {size}"),
            Self::Stack => "stack",
            Self::Heap => "heap",
            Self::Special => "special",
        })
    }
}

impl fmt::Display for Permissions {
    /// The four letters of `/proc/PID/maps`: `rw-p`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (is_set, letter, other) in [
            (self.read, "r", "-"),
            (self.write, "w", "-"),
            (self.execute, "x", "-"),
            (self.shared, "s", "p"),
        ] {
            f.write_str(if is_set { letter } else { other })?;
        }
        Ok(())
    }
}
