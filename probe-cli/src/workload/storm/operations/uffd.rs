//! userfaultfd.

use std::io;

use crate::workload::storm::{
    arena::{Pages, Part, Scene},
    need::Need,
    sys::{self, Backing},
    table::Operation,
    uffd::{Feature, MISSING, Uffd, WP},
};

const ANY: &[Need] = &[Need::Uffd(Feature::Missing)];
const PROTECT: &[Need] = &[Need::Uffd(Feature::Protect)];
const POISON: &[Need] = &[Need::Uffd(Feature::Poison)];
const MOVE: &[Need] = &[Need::Uffd(Feature::Move), Need::MovableZero];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        "watch-missing",
        6,
        ANY,
        "userfaultfd: map something and watch for missing pages",
        watch_missing,
    ),
    Operation::new("watch-both", 10, PROTECT, "the same, and for writes", watch_both),
    Operation::new("unwatch", 14, ANY, "userfaultfd: watch no longer", unwatch),
    Operation::new("write-protect", 20, PROTECT, "UFFDIO_WRITEPROTECT", protect),
    Operation::new("write-unprotect", 12, PROTECT, "UFFDIO_WRITEPROTECT, back", unprotect),
    Operation::new("zero-page", 12, ANY, "UFFDIO_ZEROPAGE", zero),
    Operation::new("copy", 12, ANY, "UFFDIO_COPY", copy),
    Operation::new("copy-protected", 8, PROTECT, "UFFDIO_COPY, write-protected", copy_protected),
    Operation::new("poison", 8, POISON, "UFFDIO_POISON", poison),
    Operation::new("move-by-uffd", 8, MOVE, "UFFDIO_MOVE", relocate),
];

fn uffd<'a>(scene: &Scene<'a>) -> io::Result<&'a Uffd> {
    scene.arena.uffd.as_ref().map_err(|_| io::ErrorKind::Unsupported.into())
}

/// A part of what is mostly watched; now and then what is there goes, for only what is missing can be filled.
fn missing(scene: &mut Scene<'_>) -> Part {
    let slot = scene.watched();
    let part = scene.within(&slot);
    if scene.dice.u8(..4) != 0 {
        // Refused where nothing is mapped.
        let _ = sys::advise(&part, libc::MADV_DONTNEED);
    }
    part
}

/// Memory of some sort, watched as a whole.
fn watch(scene: &mut Scene<'_>, mode: u64) -> io::Result<()> {
    const ACCESS: i32 = libc::PROT_READ | libc::PROT_WRITE;
    let arena = scene.arena;
    let slot = if scene.dice.u8(..6) == 0 { scene.slot(Pages::Hugetlb2M) } else { scene.watched() };
    let private = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
    match (scene.dice.u8(..6), slot.pages) {
        // As it is.
        (0, _) | (_, Pages::Hugetlb2M | Pages::Hugetlb1G) => {}
        (1, _) => {
            sys::map(&slot, ACCESS, libc::MAP_SHARED, Backing::File(&arena.files.shmem))?;
        }
        (2 | 3, _) => {
            sys::map(&slot, ACCESS, private, Backing::Anonymous)?;
            // Refused by a kernel without THP.
            let _ = sys::advise(&slot, libc::MADV_HUGEPAGE);
        }
        _ => sys::map(&slot, ACCESS, private, Backing::Anonymous)?,
    }
    uffd(scene)?.register(&slot, mode)
}

fn watch_missing(scene: &mut Scene<'_>) -> io::Result<()> {
    watch(scene, MISSING)
}

fn watch_both(scene: &mut Scene<'_>) -> io::Result<()> {
    watch(scene, MISSING | WP)
}

fn unwatch(scene: &mut Scene<'_>) -> io::Result<()> {
    let slot = scene.watched();
    uffd(scene)?.unregister(&slot)
}

/// Mostly where it is watched, sometimes in hugetlb memory.
fn guarded(scene: &mut Scene<'_>) -> Part {
    let slot = if scene.dice.u8(..6) == 0 { scene.slot(Pages::Hugetlb2M) } else { scene.watched() };
    scene.within(&slot)
}

fn protect(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = guarded(scene);
    uffd(scene)?.protect(&part, true)
}

fn unprotect(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = guarded(scene);
    uffd(scene)?.protect(&part, false)
}

fn zero(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = missing(scene);
    uffd(scene)?.zero(&part)
}

/// From a slot of the same thread or another one, where it is there.
fn copy_as(scene: &mut Scene<'_>, protected: bool) -> io::Result<()> {
    let part = missing(scene);
    let from = scene.counterpart(&part, true);
    uffd(scene)?.copy(&part, &from, protected)
}

fn copy(scene: &mut Scene<'_>) -> io::Result<()> {
    copy_as(scene, false)
}

fn copy_protected(scene: &mut Scene<'_>) -> io::Result<()> {
    copy_as(scene, true)
}

fn poison(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = missing(scene);
    uffd(scene)?.poison(&part)
}

fn relocate(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = missing(scene);
    let from = scene.counterpart(&part, false);
    uffd(scene)?.relocate(&part, &from)
}
