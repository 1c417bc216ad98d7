//! The frames that leaves map, or refer to, against /proc/kpageflags.

use std::fs::File;

use libtest_mimic::Failed;
use walkprobe::model::leaf::{LeafKind, LeafSize, Run};

use crate::{
    compare::{Entry, Place, words},
    memory::PAGE,
    run::ensure,
};

// include/uapi/linux/kernel-page-flags.h
const LOCKED: u64 = 1 << 0;
const ANON: u64 = 1 << 12;
pub(crate) const COMPOUND_HEAD: u64 = 1 << 15;
pub(crate) const COMPOUND_TAIL: u64 = 1 << 16;
const HUGE: u64 = 1 << 17;
const HW_POISON: u64 = 1 << 19;
const NO_PAGE: u64 = 1 << 20;
const THP: u64 = 1 << 22;
const ZERO_PAGE: u64 = 1 << 24;

/// Compares every leaf that has a frame with the flags of that frame.
pub(crate) fn check(place: &Place, runs: &[Run], pagemap: &[Entry]) -> Result<(), Failed> {
    let kpageflags = File::open("/proc/kpageflags")?;
    for run in runs.iter().filter(|run| has_frame(place, run.kind)) {
        let first = usize::try_from((run.start - place.range.start) / PAGE as u64)?;
        let frames: Vec<u64> = pagemap[first..]
            .iter()
            .take(usize::try_from(run.bytes() / PAGE as u64)?)
            .map(|entry| if run.kind.is_mapped() { entry.frame() } else { entry.swap().1 })
            .collect();
        let flags = flags(&kpageflags, &frames)?;
        let pages_of_leaf = usize::try_from(run.size.bytes() / PAGE as u64)?;
        let leaves = frames.chunks(pages_of_leaf).zip(flags.chunks(pages_of_leaf));
        for (number, (frames, flags)) in leaves.enumerate() {
            ensure(in_a_row(frames, pages_of_leaf), || {
                format!("leaf {number} of {run:?} has the frames {frames:x?}")
            })?;
            let wrong = flags.iter().enumerate().position(|(page, &flags)| {
                !agrees(place, run, flags) || (run.size.is_huge() && !in_place(place, page, flags))
            });
            ensure(wrong.is_none(), || {
                let page = wrong.unwrap_or(0);
                format!(
                    "leaf {number} of {run:?}: frame {:#x} has flags {:#x}",
                    frames[page], flags[page]
                )
            })?;
        }
    }
    Ok(())
}

/// Of hugetlb memory pagemap only tells the frames of what is present.
fn has_frame(place: &Place, kind: LeafKind) -> bool {
    kind.is_mapped() || (!place.hugetlb && matches!(kind, LeafKind::Migration | LeafKind::HwPoison))
}

/// The frames of one leaf are neighbours, and the first one is aligned.
fn in_a_row(frames: &[u64], pages: usize) -> bool {
    frames[0].is_multiple_of(pages as u64) && frames.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Whether a page of a huge leaf is the one of its compound page that it should be.
fn in_place(place: &Place, page: usize, flags: u64) -> bool {
    // A leaf of 2 MiB in hugetlb memory of 1 GiB does not exist; a THP has the size of its leaf.
    let whole = if place.hugetlb { HUGE } else { THP };
    let place = if page == 0 { COMPOUND_HEAD } else { COMPOUND_TAIL };
    flags & (HUGE | THP) == whole && flags & (COMPOUND_HEAD | COMPOUND_TAIL) == place
}

/// Whether the frame's flags go with the kind (fs/proc/page.c, `stable_page_flags`).
fn agrees(place: &Place, run: &Run, flags: u64) -> bool {
    let huge = run.size.is_huge();
    let has = |flag| flags & flag != 0;
    let kind = match run.kind {
        LeafKind::Zero => has(ZERO_PAGE) && !has(HW_POISON),
        // Who migrates a folio holds its lock (mm/migrate.c), which a tail does not show where
        // kpageflags tells the flags of the page and not of the folio; it stays anonymous.
        LeafKind::Migration => (has(LOCKED) || has(COMPOUND_TAIL)) && has(ANON) && !has(HW_POISON),
        LeafKind::HwPoison => has(HW_POISON),
        _ => !has(ZERO_PAGE) && !has(HW_POISON),
    };
    // PTEs map parts of a THP, but never a part of a hugetlb page.
    let size = huge || run.size == LeafSize::BASE && !has(HUGE);
    kind && size && !has(NO_PAGE) && (place.hugetlb == has(HUGE))
}

/// The flags of frames, read in as few pieces as they lie in.
fn flags(kpageflags: &File, frames: &[u64]) -> Result<Vec<u64>, Failed> {
    let mut flags = Vec::with_capacity(frames.len());
    for piece in frames.chunk_by(|a, b| a + 1 == *b) {
        flags.extend(words(kpageflags, piece[0], piece.len())?);
    }
    Ok(flags)
}
