//! What a scan found against pagemap, kpageflags and smaps: page by page, and in sum.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt as _,
};

use libtest_mimic::Failed;
use walkprobe::model::leaf::{LeafKind, LeafSize, Run};

use crate::{
    folios, frames,
    leaves::{scan, scan_folios},
    memory::{Area, PAGE},
    run::{ensure, guest},
    smaps,
};

/// A range of addresses of any process: all of it hugetlb memory, or none.
pub(crate) struct Place {
    pub(crate) range: Range<u64>,
    pub(crate) hugetlb: bool,
}

impl From<&Area> for Place {
    fn from(area: &Area) -> Self {
        Self { range: area.range(), hugetlb: area.is_hugetlb() }
    }
}

/// Bytes by kind and leaf size.
pub(crate) type Bytes = BTreeMap<(LeafKind, LeafSize), u64>;

/// Sums up.
pub(crate) fn bytes(runs: &[Run]) -> Bytes {
    let mut bytes = BTreeMap::new();
    for run in runs {
        *bytes.entry((run.kind, run.size)).or_default() += run.bytes();
    }
    bytes
}

/// Scans an area, and compares it with everything that the kernel says of it.
pub(crate) fn checked(area: &Area) -> Result<Bytes, Failed> {
    let runs = scan(area)?;
    let pagemap = pagemap(&area.range())?;
    let place = Place::from(area);
    pages(&place, &runs, &pagemap)?;
    let with_folios = scan_folios(area)?;
    ensure(bytes(&with_folios) == bytes(&runs), || format!("{runs:?}, then {with_folios:?}"))?;
    folios::check(&place, &with_folios, &pagemap)?;
    let huge: u64 = runs
        .iter()
        .filter(|run| run.size.is_huge() && smaps_counts(run.kind))
        .map(Run::bytes)
        .sum();
    let smaps = smaps(
        area,
        &["AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Private_Hugetlb", "Shared_Hugetlb"],
    )?;
    ensure(huge == smaps, || format!("{huge} bytes in huge leaves, {smaps} in smaps: {runs:?}"))?;
    Ok(bytes(&runs))
}

/// Whether smaps counts such a leaf where it is huge: what is present, and what an entry that is not
/// refers to by its frame (fs/proc/task_mmu.c, `smaps_pmd_entry`, `smaps_hugetlb_range`); the page
/// of zeroes is nobody's.
pub(crate) fn smaps_counts(kind: LeafKind) -> bool {
    matches!(
        kind,
        LeafKind::Present | LeafKind::ProtNone | LeafKind::Migration | LeafKind::HwPoison
    )
}

/// Fails unless the bytes are these.
pub(crate) fn expect(
    found: &Bytes,
    expected: &[((LeafKind, LeafSize), usize)],
) -> Result<(), Failed> {
    let expected: Bytes = expected.iter().map(|&(kind, bytes)| (kind, bytes as u64)).collect();
    ensure(*found == expected, || format!("{found:?} instead of {expected:?}"))
}

/// Compares runs page by page with what pagemap and kpageflags say.
pub(crate) fn pages(place: &Place, runs: &[Run], pagemap: &[Entry]) -> Result<(), Failed> {
    for run in runs {
        for (number, page) in run.range().step_by(PAGE).enumerate() {
            let entry = pagemap[usize::try_from((page - place.range.start) / PAGE as u64)?];
            let agrees = if place.hugetlb {
                hugetlb_agrees(run.kind, entry)
            } else {
                agrees(run.kind, entry)?
            };
            ensure(agrees, || format!("{page:#x}, page {number} of {run:?}: pagemap {entry:x?}"))?;
        }
    }
    frames::check(place, runs, pagemap)
}

/// An entry of pagemap (fs/proc/task_mmu.c, `pagemap_read`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    pub(crate) fn is_present(self) -> bool {
        self.0 >> 63 != 0
    }

    pub(crate) fn is_swapped(self) -> bool {
        self.0 >> 62 & 1 != 0
    }

    pub(crate) fn is_write_protected(self) -> bool {
        self.0 >> 57 & 1 != 0
    }

    /// The frame of a present page.
    pub(crate) fn frame(self) -> u64 {
        self.0 & ((1 << 55) - 1)
    }

    /// Swap type and offset of one that is not present (`pte_to_pagemap_entry`).
    pub(crate) fn swap(self) -> (u64, u64) {
        (self.frame() & 31, self.frame() >> 5)
    }
}

/// The swap type of markers: the last one, but 6.1 has `SWP_SWAPIN_ERROR` behind it (from 5.19 to
/// 6.1, include/linux/swap.h).
fn marker_type() -> u64 {
    if guest().is_some_and(|series| series == "6.1") { 30 } else { 31 }
}

fn agrees(kind: LeafKind, entry: Entry) -> Result<bool, Failed> {
    let (swap_type, offset) = entry.swap();
    let absent = !entry.is_present() && entry.is_swapped();
    // The value of a marker (include/linux/swapops.h).
    let marker = |value| absent && (swap_type, offset) == (marker_type(), value);
    Ok(match kind {
        LeafKind::Hole => !entry.is_present() && !entry.is_swapped(),
        LeafKind::Present | LeafKind::Zero | LeafKind::ProtNone => entry.is_present(),
        LeafKind::Swap => absent && swap_type < swap_spaces()?,
        // Their offset is a frame, which `frames` looks at.
        LeafKind::Migration | LeafKind::HwPoison => {
            absent && (swap_spaces()?..marker_type()).contains(&swap_type)
        }
        LeafKind::UffdWp => marker(1) && entry.is_write_protected(),
        LeafKind::UffdPoison => marker(2),
        LeafKind::Guard => marker(4),
        // No test makes these.
        LeafKind::DevicePrivate | LeafKind::DeviceExclusive | LeafKind::Other => false,
    })
}

/// Of entries that are not present pagemap only tells, in hugetlb memory, the write-protection
/// (fs/proc/task_mmu.c, `pagemap_hugetlb_range`).
fn hugetlb_agrees(kind: LeafKind, entry: Entry) -> bool {
    let marked = entry.is_write_protected();
    match kind {
        LeafKind::Present | LeafKind::ProtNone => entry.is_present(),
        LeafKind::Hole | LeafKind::Migration | LeafKind::HwPoison | LeafKind::UffdPoison => {
            !entry.is_present() && !entry.is_swapped() && !marked
        }
        LeafKind::UffdWp => !entry.is_present() && !entry.is_swapped() && marked,
        _ => false,
    }
}

/// How many swap spaces there are: their types are the numbers below. (One that was removed leaves
/// a free number, which the next one takes.)
fn swap_spaces() -> Result<u64, Failed> {
    Ok(fs::read_to_string("/proc/swaps")?.lines().skip(1).count() as u64)
}

/// The pagemap entries of a range of this process.
pub(crate) fn pagemap(range: &Range<u64>) -> Result<Vec<Entry>, Failed> {
    entries(&File::open("/proc/self/pagemap")?, range)
}

/// The pagemap entries of a range of the process whose pagemap this is.
pub(crate) fn entries(pagemap: &File, range: &Range<u64>) -> Result<Vec<Entry>, Failed> {
    let first = range.start / PAGE as u64;
    let pages = usize::try_from(range.end / PAGE as u64 - first)?;
    let words = words(pagemap, first, pages)?;
    Ok(words.into_iter().map(Entry).collect())
}

/// So many 64-bit numbers of a file, from the `first`-th on.
pub(crate) fn words(file: &File, first: u64, count: usize) -> Result<Vec<u64>, Failed> {
    let mut bytes = vec![0; count * 8];
    file.read_exact_at(&mut bytes, first * 8)?;
    let (words, _) = bytes.as_chunks();
    Ok(words.iter().map(|&word| u64::from_ne_bytes(word)).collect())
}

/// The sum of these fields of smaps in bytes, over the VMAs that lie in an area.
pub(crate) fn smaps(area: &Area, fields: &[&str]) -> Result<u64, Failed> {
    let (first, last) = (area.range().start, area.range().end);
    let vmas = smaps::of("self")?;
    let inside = vmas.iter().filter(|vma| first <= vma.range.start && vma.range.end <= last);
    Ok(inside.map(|vma| vma.sum(fields)).sum())
}
