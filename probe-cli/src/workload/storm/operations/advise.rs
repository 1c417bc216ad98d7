//! madvise.

use std::io;

use crate::workload::storm::{arena::Scene, need::Need, sys, table::Operation};

// include/uapi/asm-generic/mman-common.h; the newest ones are not everywhere known.
const COLD: i32 = 20;
const PAGEOUT: i32 = 21;
const POPULATE_READ: i32 = 22;
const POPULATE_WRITE: i32 = 23;
const COLLAPSE: i32 = 25;
const GUARD_INSTALL: i32 = 102;
const GUARD_REMOVE: i32 = 103;

/// An advice, for any part.
macro_rules! row {
    ($name:literal, $weight:literal, $advice:expr, $word:literal) => {
        Operation::new(
            $name,
            $weight,
            &[Need::Advice($advice, $word)],
            $word,
            advise::<{ $advice }>,
        )
    };
}

pub(super) const OPERATIONS: &[Operation] = &[
    row!("hugepage", 15, libc::MADV_HUGEPAGE, "MADV_HUGEPAGE"),
    row!("nohugepage", 5, libc::MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE"),
    Operation::new(
        "collapse",
        20,
        &[Need::Advice(COLLAPSE, "MADV_COLLAPSE")],
        "MADV_COLLAPSE of some PMD entries",
        collapse,
    ),
    row!("dontneed", 15, libc::MADV_DONTNEED, "MADV_DONTNEED"),
    row!("free", 10, libc::MADV_FREE, "MADV_FREE"),
    row!("cold", 8, COLD, "MADV_COLD"),
    row!("pageout", 10, PAGEOUT, "MADV_PAGEOUT"),
    Operation::new(
        "swap-out",
        20,
        &[Need::Swap, Need::Advice(PAGEOUT, "MADV_PAGEOUT")],
        "MADV_PAGEOUT where there is swap space",
        advise::<PAGEOUT>,
    ),
    row!("willneed", 4, libc::MADV_WILLNEED, "MADV_WILLNEED"),
    row!("remove", 6, libc::MADV_REMOVE, "MADV_REMOVE"),
    row!("populate-read", 12, POPULATE_READ, "MADV_POPULATE_READ"),
    row!("populate-write", 15, POPULATE_WRITE, "MADV_POPULATE_WRITE"),
    Operation::new(
        "guard",
        6,
        &[Need::Advice(GUARD_INSTALL, "MADV_GUARD_INSTALL")],
        "MADV_GUARD_INSTALL where userfaultfd watches no longer",
        guard,
    ),
    row!("unguard", 6, GUARD_REMOVE, "MADV_GUARD_REMOVE"),
    row!("mergeable", 8, libc::MADV_MERGEABLE, "MADV_MERGEABLE"),
    row!("unmergeable", 4, libc::MADV_UNMERGEABLE, "MADV_UNMERGEABLE"),
];

fn advise<const ADVICE: i32>(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::advise(&scene.part(), ADVICE)
}

/// In shared memory a write-protect marker of userfaultfd survives what the kernel does to make place for guards
/// (mm/memory.c, `zap_nonpresent_ptes`), so that it tries again without end (mm/madvise.c, `madvise_guard_install`).
fn guard(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = scene.part();
    let work = || sys::advise(&part, GUARD_INSTALL);
    match &scene.arena.uffd {
        Ok(uffd) => uffd.unwatched(&part, work),
        Err(_) => work(),
    }
}

fn collapse(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::advise(&scene.large(), COLLAPSE)
}
