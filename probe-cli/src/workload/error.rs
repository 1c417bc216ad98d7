//! Why a step was not, or not wholly, done.

use std::io;

use crate::units;

/// Something that a step needs is not here; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No such hugetlb page size.
    #[error(
        "this kernel has no pool of {} hugetlb pages (a 1 GiB pool needs a processor with 1 GiB \
         pages, and `hugepagesz=1G` on the kernel's command line on older kernels)",
        units::bytes(*.size as u64)
    )]
    NoPool {
        /// The page size in bytes.
        size: usize,
    },
    /// The pool has too few free pages.
    #[error(
        "{wanted} free {size} hugetlb pages are needed, the pool has {free}: write a larger number \
         to /sys/kernel/mm/hugepages/hugepages-{kb}kB/nr_hugepages",
        size = units::bytes(*.size as u64),
        kb = .size >> 10
    )]
    Pool {
        /// The page size in bytes.
        size: usize,
        /// Pages needed.
        wanted: usize,
        /// Pages that are free and not reserved.
        free: usize,
    },
    /// The kernel is built without THP.
    #[error("this kernel has no THP (CONFIG_TRANSPARENT_HUGEPAGE)")]
    NoThp,
    /// THP is switched off.
    #[error("THP is switched off: write `madvise` to /sys/kernel/mm/transparent_hugepage/enabled")]
    ThpNever,
    /// `MADV_COLLAPSE` is too new for the kernel.
    #[error("this kernel has no MADV_COLLAPSE (Linux 6.1 and later have it)")]
    Collapse,
    /// Migration wants a node to go to.
    #[error("there is one memory node: to be migrated, pages want a second one")]
    OneNode,
}

/// A step did not do what it promises.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Something that it needs is not here.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A system call failed.
    #[error("{call} of {bytes} bytes at {start:#x}: {source}")]
    Call {
        /// The system call.
        call: &'static str,
        /// First address.
        start: usize,
        /// Length.
        bytes: usize,
        /// The reason.
        source: io::Error,
    },
    /// A file could not be opened or read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// Pages were not migrated.
    #[error(
        "{stayed} of {pages} pages stayed on their memory node: something else held them, or the other node is full; try again"
    )]
    Stayed {
        /// Those that stayed.
        stayed: usize,
        /// Those that were to move.
        pages: usize,
    },
    /// fork failed.
    #[error("fork: {0}")]
    Fork(io::Error),
    /// The kernel had no huge page to give.
    #[error(
        "at least one of {ranges} ranges was not mapped by a THP: memory is too full or too \
         fragmented (`echo 1 > /proc/sys/vm/compact_memory` may help)"
    )]
    NoHugePage {
        /// Ranges that should have been THPs.
        ranges: usize,
    },
}
