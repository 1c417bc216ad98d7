//! Leaf maps by reading `/proc/PID/pagemap`, with `smaps` and page flags.
//!
//! An entry says what a page is and not how large the leaf is that maps it. Per VMA, `smaps`
//! says how many bytes PMD leaves map. So blocks that a PMD leaf could map are found first,
//! and then held against that number: none, all, or some of them.

use std::{fs::File, io};

use super::{
    entry::{Block, Entry, FrameFlags, Window},
    runs::{Leaves, Runs, demote, huge_size, present},
    zero,
};
use crate::{
    kernel::vmas::smaps::Counts,
    model::{
        leaf::{LeafKind, LeafSize, Run},
        vma::{Vma, VmaKind},
    },
};

/// Reading a page of addresses costs 30 ns whether something is there or not; above this size, a
/// VMA in which `smaps` counts nothing is taken for empty.
pub(crate) const LARGEST_READ_WHEN_EMPTY: u64 = 64 << 30;

/// How sure the leaf sizes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certainty {
    /// Bytes in VMAs where the number of PMD leaves is known, but not which blocks they are.
    pub(crate) unplaced: u64,
    /// Bytes in VMAs that were not read, because `smaps` counts nothing in them.
    pub(crate) skipped: u64,
    /// VMAs that changed between `maps` and `smaps`: all leaves there count as base pages.
    pub(crate) uncounted: u64,
}

/// Reads leaf maps VMA by VMA.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pagemap: &'a File,
    marks: bool,
    frames: Option<FrameFlags>,
    zero_frame: Option<u64>,
    window: Window,
    pub(crate) certainty: Certainty,
}

impl<'a> Reader<'a> {
    /// `frames` where page frame numbers are visible and have readable flags.
    pub(crate) fn new(pagemap: &'a File, marks: bool, frames: Option<FrameFlags>) -> Self {
        let zero_frame = frames.as_ref().and_then(zero::frame);
        let certainty = Certainty::default();
        Self { pagemap, marks, frames, zero_frame, window: Window::new(), certainty }
    }

    /// The runs of a VMA; `counts` as `smaps` has them, unless the VMA is new there.
    pub(crate) fn read(&mut self, vma: &Vma, counts: Option<&Counts>) -> io::Result<Vec<Run>> {
        let mut runs = Runs::new(vma.range(), self.marks);
        if vma.bytes() > LARGEST_READ_WHEN_EMPTY && counts.is_some_and(Counts::is_empty) {
            self.certainty.skipped += vma.bytes();
            return Ok(runs.finish());
        }
        let hugetlb = matches!(vma.kind, VmaKind::Hugetlb(_));
        let mut blocks = 0;
        let mut start = vma.start;
        while start < vma.end {
            // Up to a boundary of the largest window, so that blocks come whole.
            let stop = ((start >> 25) + 1) << 25;
            let entries = self.window.read(self.pagemap, start, stop.min(vma.end))?;
            let count = entries.len() as u64;
            if count == 0 {
                break;
            }
            let chunk = Chunk { vma, frames: self.frames.as_ref(), zero_frame: self.zero_frame };
            if hugetlb {
                chunk.hugetlb(start, entries, &mut runs);
            } else {
                blocks += chunk.generic(start, entries, &mut runs);
            }
            start += count << LeafSize::BASE.shift();
        }
        let runs = runs.finish();
        if hugetlb || blocks == 0 {
            return Ok(runs);
        }
        let counted = counts.map(|counts| counts.pmd_mapped / LeafSize::PMD.bytes());
        self.certainty.uncounted += u64::from(counted.is_none());
        let counted = counted.unwrap_or(0);
        if counted == 0 {
            return Ok(demote(runs, 0));
        }
        if counted != blocks {
            self.certainty.unplaced += blocks * LeafSize::PMD.bytes();
        }
        Ok(demote(runs, counted))
    }
}

/// What entries are read with.
struct Chunk<'a> {
    vma: &'a Vma,
    frames: Option<&'a FrameFlags>,
    zero_frame: Option<u64>,
}

impl Chunk<'_> {
    fn hugetlb(&self, start: u64, entries: impl Iterator<Item = Entry>, runs: &mut Runs) {
        let size = huge_size(self.vma);
        for (entry, page) in entries.zip(pages(start)) {
            // A leaf's first page speaks for it.
            if page & (size.bytes() - 1) != 0 || entry.is_hole() {
                continue;
            }
            let kind = if entry.is_present() {
                present(self.vma, false)
            } else if entry.is_uffd_wp() {
                LeafKind::UffdWp
            } else {
                LeafKind::Other
            };
            runs.push(leaves(page, page + size.bytes(), size, kind, entry));
        }
    }

    /// Returns how many blocks may be PMD leaves; they are added as such.
    fn generic(
        &self,
        start: u64,
        mut entries: impl ExactSizeIterator<Item = Entry> + Clone,
        runs: &mut Runs,
    ) -> u64 {
        let block = LeafSize::PMD.bytes() >> LeafSize::BASE.shift();
        let mut blocks = 0;
        let mut page = start;
        while entries.len() > 0 {
            if page & (LeafSize::PMD.bytes() - 1) == 0
                && let Some((first, zero)) = self.block(entries.clone(), block)
            {
                let end = page + LeafSize::PMD.bytes();
                let kind = present(self.vma, zero);
                // The huge page of zeroes is in no count of smaps; being compound, it is never
                // mapped page by page (`__split_huge_zero_page_pmd` maps base pages of zeroes).
                blocks += u64::from(kind != LeafKind::Zero);
                runs.push(leaves(page, end, LeafSize::PMD, kind, first));
                entries.by_ref().take(usize::try_from(block).unwrap_or(0)).for_each(drop);
                page = end;
                continue;
            }
            let to_boundary = LeafSize::PMD.bytes() - (page & (LeafSize::PMD.bytes() - 1));
            let pages = usize::try_from(to_boundary >> LeafSize::BASE.shift()).unwrap_or(0);
            for entry in entries.by_ref().take(pages) {
                let end = page + LeafSize::BASE.bytes();
                if !entry.is_hole() {
                    runs.push(leaves(page, end, LeafSize::BASE, self.kind(entry), entry));
                }
                page = end;
            }
        }
        blocks
    }

    fn kind(&self, entry: Entry) -> LeafKind {
        if entry.is_present() {
            let zero =
                entry.can_be_zero() && self.zero_frame.is_some_and(|frame| frame == entry.frame());
            present(self.vma, zero)
        } else {
            entry.non_present()
        }
    }

    /// Whether the next entries may be one PMD leaf: all alike and, where frames are visible,
    /// neighbouring frames of one folio. Says whether that is the huge page of zeroes.
    fn block(
        &self,
        mut entries: impl ExactSizeIterator<Item = Entry>,
        block: u64,
    ) -> Option<(Entry, bool)> {
        if (entries.len() as u64) < block {
            return None;
        }
        let first = entries.next().filter(|entry| entry.is_present())?;
        let step = u64::from(self.frames.is_some());
        let mut expected = first.frame();
        let alike = entries.take(usize::try_from(block - 1).ok()?).all(|entry| {
            expected += step;
            entry.flags() == first.flags() && entry.frame() == expected
        });
        if !alike {
            return None;
        }
        let Some(frames) = self.frames else { return Some((first, false)) };
        if first.frame() & (block - 1) != 0 {
            return None;
        }
        match frames.block(first.frame(), block) {
            Block::Folio => Some((first, false)),
            Block::HugeZero => Some((first, true)),
            Block::Pages => None,
        }
    }
}

fn pages(start: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |n: u64| start + (n << LeafSize::BASE.shift()))
}

fn leaves(start: u64, end: u64, size: LeafSize, kind: LeafKind, entry: Entry) -> Leaves {
    let (soft_dirty, uffd_wp) = (entry.is_soft_dirty(), entry.is_uffd_wp());
    Leaves { start, end, size, kind, soft_dirty, uffd_wp }
}
