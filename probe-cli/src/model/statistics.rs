//! What some leaves come to: bytes by size and kind, resident bytes, TLB entries.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

use super::{
    leaf::{LeafKind, LeafSize},
    walk::Batch,
};

/// Statistics of leaves; every number without another unit is in bytes.
///
/// Collected from a walk: `set.walk(range).collect::<Statistics>()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Length of all leaves, holes included.
    pub total: u64,
    /// Leaves of every size and kind that occurs; large leaves first, then in the order of kinds.
    pub leaves: Vec<LeafTotal>,
    /// The resident set size by the kernel's own rule (`smaps_account` in `fs/proc/task_mmu.c`):
    /// present, PROT_NONE, migration and device entries, in VMAs that count. Not the pages of
    /// zeroes, and not hugetlb.
    pub rss: u64,
    /// Present, PROT_NONE and migration entries of hugetlb: what the kernel counts apart.
    pub hugetlb: u64,
    /// Runs, holes included: how often something changes, and what the leaf map costs in memory.
    pub runs: u64,
    /// Bytes of known folios by the folio's order; empty when nobody asked.
    pub folios: BTreeMap<u8, u64>,
    /// Bytes mapped by leaves smaller than 2M although their folio is at least 2M large
    /// (high-granularity mapping).
    pub huge_by_ptes: u64,
    /// Bytes of leaves with a mark; absent when nobody asked.
    pub marks: Option<MarkedBytes>,
}

/// All leaves of one size and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LeafTotal {
    /// What one leaf maps.
    pub size: LeafSize,
    /// What they hold.
    pub kind: LeafKind,
    /// How many there are.
    pub leaves: u64,
    /// Their length together.
    pub bytes: u64,
}

/// Bytes of leaves that have a mark, where marks are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarkedBytes {
    /// Accessed since the kernel last looked.
    pub young: u64,
    /// Written since the last writeback.
    pub dirty: u64,
    /// Written since `/proc/PID/clear_refs` was last used.
    pub soft_dirty: u64,
    /// Writable.
    pub writable: u64,
    /// Write-protected by userfaultfd.
    pub uffd_wp: u64,
}

impl Statistics {
    /// Adds a batch, with all of its leaves.
    pub fn add(&mut self, batch: &Batch<'_>) {
        let run = &batch.run;
        let bytes = run.bytes();
        self.total = self.total.saturating_add(bytes);
        self.runs += 1;
        self.add_leaves(LeafTotal { size: run.size, kind: run.kind, leaves: run.count, bytes });
        let is_resident = matches!(
            run.kind,
            LeafKind::Present
                | LeafKind::ProtNone
                | LeafKind::Migration
                | LeafKind::DevicePrivate
                | LeafKind::DeviceExclusive
        );
        if is_resident && batch.vma.kind.is_hugetlb() {
            self.hugetlb = self.hugetlb.saturating_add(bytes);
        } else if is_resident && batch.vma.is_counted_in_rss() {
            self.rss = self.rss.saturating_add(bytes);
        }
        if let Some(order) = run.folio_order {
            let of_order = self.folios.entry(order).or_default();
            *of_order = of_order.saturating_add(bytes);
            if folio_bytes(order) >= LeafSize::PMD.bytes() && !run.size.is_huge() {
                self.huge_by_ptes = self.huge_by_ptes.saturating_add(bytes);
            }
        }
        if let Some(marks) = run.marks {
            let more = marks.map(|leaves| leaves << run.size.shift());
            let marked = self.marks.get_or_insert_default();
            for (sum, more) in [
                (&mut marked.young, more.young),
                (&mut marked.dirty, more.dirty),
                (&mut marked.soft_dirty, more.soft_dirty),
                (&mut marked.writable, more.writable),
                (&mut marked.uffd_wp, more.uffd_wp),
            ] {
                *sum = sum.saturating_add(more);
            }
        }
    }

    fn add_leaves(&mut self, more: LeafTotal) {
        let key = |total: &LeafTotal| (Reverse(total.size), total.kind);
        match self.leaves.binary_search_by_key(&key(&more), key) {
            Ok(at) => {
                let total = &mut self.leaves[at];
                total.leaves = total.leaves.saturating_add(more.leaves);
                total.bytes = total.bytes.saturating_add(more.bytes);
            }
            Err(at) => self.leaves.insert(at, more),
        }
    }

    /// Bytes in leaves that are chosen by size and kind.
    pub fn bytes_where(&self, choose: impl Fn(LeafSize, LeafKind) -> bool) -> u64 {
        let chosen = self.leaves.iter().filter(|total| choose(total.size, total.kind));
        chosen.fold(0, |sum, total| sum.saturating_add(total.bytes))
    }

    /// Bytes mapped: present, zero or PROT_NONE, hugetlb or not.
    #[must_use]
    pub fn mapped(&self) -> u64 {
        self.bytes_where(|_, kind| kind.is_mapped())
    }

    /// Bytes of entries that map no memory but are no holes either: swap, migration, markers.
    #[must_use]
    pub fn not_present(&self) -> u64 {
        self.bytes_where(|_, kind| !kind.is_mapped() && kind != LeafKind::Hole)
    }

    /// Coverage by huge leaves: the share, from 0 to 1, of the mapped bytes that leaves of at
    /// least 2M map. `None` when nothing is mapped.
    #[must_use]
    pub fn coverage(&self) -> Option<f64> {
        let mapped = self.mapped();
        let huge = self.bytes_where(|size, kind| kind.is_mapped() && size.is_huge());
        #[expect(clippy::cast_precision_loss, reason = "a share, shown with one decimal")]
        let share = huge as f64 / mapped as f64;
        (mapped > 0).then_some(share)
    }

    /// How many TLB entries of each size would hold all that is mapped, large ones first.
    ///
    /// One for each mapped leaf, because the leaf is what a TLB entry caches. A CPU that joins
    /// neighbouring PTEs of its own accord needs fewer; one whose TLB lacks a size (1G in many
    /// second levels) needs more. PROT_NONE leaves count as if access were given back.
    pub fn tlb_entries(&self) -> impl Iterator<Item = (LeafSize, u64)> {
        let mapped = self.leaves.iter().filter(|total| total.kind.is_mapped());
        let mut entries: Vec<(LeafSize, u64)> = Vec::new();
        for total in mapped {
            match entries.last_mut() {
                Some((size, count)) if *size == total.size => {
                    *count = count.saturating_add(total.leaves);
                }
                _ => entries.push((total.size, total.leaves)),
            }
        }
        entries.into_iter()
    }

    /// Adds the statistics of another set. What both share counts twice.
    pub fn merge(&mut self, other: &Self) {
        self.total = self.total.saturating_add(other.total);
        self.rss = self.rss.saturating_add(other.rss);
        self.hugetlb = self.hugetlb.saturating_add(other.hugetlb);
        self.runs = self.runs.saturating_add(other.runs);
        self.huge_by_ptes = self.huge_by_ptes.saturating_add(other.huge_by_ptes);
        for total in &other.leaves {
            self.add_leaves(*total);
        }
        for (order, bytes) in &other.folios {
            let sum = self.folios.entry(*order).or_default();
            *sum = sum.saturating_add(*bytes);
        }
        if let Some(more) = other.marks {
            let marked = self.marks.get_or_insert_default();
            marked.young = marked.young.saturating_add(more.young);
            marked.dirty = marked.dirty.saturating_add(more.dirty);
            marked.soft_dirty = marked.soft_dirty.saturating_add(more.soft_dirty);
            marked.writable = marked.writable.saturating_add(more.writable);
            marked.uffd_wp = marked.uffd_wp.saturating_add(more.uffd_wp);
        }
    }
}

/// The size in bytes of a folio of this order.
#[must_use]
pub const fn folio_bytes(order: u8) -> u64 {
    LeafSize::BASE.bytes() << order
}

impl<'a> FromIterator<Batch<'a>> for Statistics {
    fn from_iter<I: IntoIterator<Item = Batch<'a>>>(batches: I) -> Self {
        let mut statistics = Self::default();
        for batch in batches {
            statistics.add(&batch);
        }
        statistics
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Statistics;
    use crate::model::{
        fixture,
        leaf::{LeafKind, LeafSize},
    };

    #[test]
    fn the_kernels_own_numbers() {
        let statistics = fixture::set().statistics();
        let bytes = |size, kind| statistics.bytes_where(|s, k| s == size && k == kind);
        assert_eq!(bytes(LeafSize::PMD, LeafKind::Zero), 2 << 20);
        // The pages of zeroes, [vvar] and hugetlb are not in it; the migration entry is.
        assert_eq!(statistics.rss, (20 << 20) + (768 << 12) + 4096 + (2 << 12) + (8 << 12));
        assert_eq!(statistics.hugetlb, (1 << 30) + (2 << 21));
        assert_eq!(statistics.huge_by_ptes, 512 << 12);
        let entries: Vec<_> = statistics.tlb_entries().collect();
        assert_eq!(entries[..2], [(LeafSize::PUD, 1), (LeafSize::PMD, 13)]);
    }

    #[test]
    fn nothing_has_no_coverage() {
        let nothing = Statistics::default();
        assert_eq!((nothing.coverage(), nothing.mapped()), (None, 0));
        assert_eq!(nothing.tlb_entries().count(), 0);
    }

    proptest! {
        #[test]
        fn the_parts_add_up(set in fixture::any_set()) {
            let whole = set.statistics();
            let mut sum = Statistics::default();
            for map in set.maps() {
                sum.merge(&map.iter().collect());
            }
            prop_assert_eq!(&sum, &whole);
            prop_assert_eq!(whole.bytes_where(|_, _| true), whole.total);
            let holes = whole.bytes_where(|_, kind| kind == LeafKind::Hole);
            prop_assert_eq!(whole.mapped() + whole.not_present() + holes, whole.total);
            let covered: u64 = whole.tlb_entries().map(|(size, n)| size.bytes() * n).sum();
            prop_assert_eq!(covered, whole.mapped());
        }
    }
}
