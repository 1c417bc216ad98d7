//! mmap and munmap.

use std::{fs::File, io};

use crate::workload::storm::{
    arena::{Pages, Scene},
    need::Need,
    sys::{self, Backing},
    table::Operation,
};

const ACCESS: i32 = libc::PROT_READ | libc::PROT_WRITE;
const PRIVATE: i32 = libc::MAP_PRIVATE;
const SHARED: i32 = libc::MAP_SHARED;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("map-anonymous", 30, &[], "map private anonymous memory", anonymous),
    Operation::new("map-huge", 30, &[Need::Thp], "the same with MADV_HUGEPAGE, a whole slot", huge),
    Operation::new("map-populate", 10, &[], "the same with MAP_POPULATE", populate),
    Operation::new("map-shared", 10, &[], "map shared anonymous memory", shared),
    Operation::new("map-shmem", 15, &[], "map a memfd, shared or private", shmem),
    Operation::new(
        "map-huge-shmem",
        20,
        &[Need::HugeShmem],
        "map a file of a tmpfs with THPs",
        huge_shmem,
    ),
    Operation::new("map-file", 15, &[], "map a file on a disk, shared or private", file),
    Operation::new(
        "map-hugetlb-2m",
        10,
        &[Need::Hugetlb2M],
        "map private hugetlb pages of 2 MiB",
        hugetlb_2m,
    ),
    Operation::new(
        "map-hugetlb-file",
        10,
        &[Need::Hugetlb2M],
        "map a hugetlb memfd, shared or private",
        hugetlb_file,
    ),
    Operation::new(
        "map-hugetlb-1g",
        2,
        &[Need::Hugetlb1G],
        "map a private hugetlb page of 1 GiB",
        hugetlb_1g,
    ),
    Operation::new("unmap", 10, &[], "unmap a whole slot", unmap),
    Operation::new("unmap-part", 20, &[], "unmap a part", unmap_part),
];

fn anonymous(scene: &mut Scene<'_>) -> io::Result<()> {
    let slot = scene.slot(Pages::Base);
    let part = scene.within(&slot);
    sys::map(&part, ACCESS, PRIVATE | libc::MAP_NORESERVE, Backing::Anonymous)
}

fn huge(scene: &mut Scene<'_>) -> io::Result<()> {
    let slot = scene.slot(Pages::Base);
    sys::map(&slot, ACCESS, PRIVATE | libc::MAP_NORESERVE, Backing::Anonymous)?;
    sys::advise(&slot, libc::MADV_HUGEPAGE)
}

fn populate(scene: &mut Scene<'_>) -> io::Result<()> {
    let slot = scene.slot(Pages::Base);
    let part = scene.within(&slot);
    sys::map(&part, ACCESS, PRIVATE | libc::MAP_POPULATE, Backing::Anonymous)
}

fn shared(scene: &mut Scene<'_>) -> io::Result<()> {
    let slot = scene.slot(Pages::Base);
    let part = scene.within(&slot);
    sys::map(&part, ACCESS, SHARED, Backing::Anonymous)
}

/// Mostly shared, else private.
fn of_file(scene: &mut Scene<'_>, pages: Pages, file: &File) -> io::Result<()> {
    let flags = if scene.dice.u8(..3) == 0 { PRIVATE } else { SHARED };
    let slot = scene.slot(pages);
    let part = if scene.dice.bool() { scene.within(&slot) } else { slot };
    sys::map(&part, ACCESS, flags | libc::MAP_NORESERVE, Backing::File(file))
}

fn shmem(scene: &mut Scene<'_>) -> io::Result<()> {
    let arena = scene.arena;
    of_file(scene, Pages::Base, &arena.files.shmem)
}

fn huge_shmem(scene: &mut Scene<'_>) -> io::Result<()> {
    let arena = scene.arena;
    match &arena.files.huge_shmem {
        Ok(file) => of_file(scene, Pages::Base, file),
        Err(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn file(scene: &mut Scene<'_>) -> io::Result<()> {
    let arena = scene.arena;
    of_file(scene, Pages::Base, &arena.files.disk)
}

fn hugetlb_2m(scene: &mut Scene<'_>) -> io::Result<()> {
    let slot = scene.slot(Pages::Hugetlb2M);
    let part = scene.within(&slot);
    let flags = PRIVATE | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB;
    sys::map(&part, ACCESS, flags, Backing::Anonymous)
}

fn hugetlb_file(scene: &mut Scene<'_>) -> io::Result<()> {
    let arena = scene.arena;
    match &arena.files.hugetlb {
        Ok(file) => of_file(scene, Pages::Hugetlb2M, file),
        Err(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn hugetlb_1g(scene: &mut Scene<'_>) -> io::Result<()> {
    let slot = scene.slot(Pages::Hugetlb1G);
    let flags = PRIVATE | libc::MAP_HUGETLB | libc::MAP_HUGE_1GB;
    sys::map(&slot, ACCESS, flags, Backing::Anonymous)
}

fn unmap(scene: &mut Scene<'_>) -> io::Result<()> {
    let slot = scene.slot(Pages::Base);
    sys::unmap(&slot)
}

fn unmap_part(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = scene.part();
    sys::unmap(&part)
}
