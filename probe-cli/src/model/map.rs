//! The leaf map of one VMA.

use std::ops::Range;

use super::{
    leaf::{LeafKind, LeafSize, Run},
    vma::Vma,
    walk::LeafWalk,
};

/// The largest folio order taken for true: 1 TiB of base pages, as for leaves.
const MAX_FOLIO_ORDER: u8 = 28;

/// All runs of one VMA.
///
/// The runs are in the order of their addresses, do not overlap, lie inside of the VMA and cover it
/// completely, holes included; neighbours differ. The kernel splits a leaf before it lets a VMA
/// begin or end inside of it, so no leaf stands across the border of a VMA.
///
/// Its memory follows the number of runs, not the number of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafMap {
    vma: Vma,
    runs: Vec<Run>,
}

/// Why some runs cannot be the leaf map of a VMA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRuns {
    /// The VMA itself is impossible.
    #[error("the VMA {start:#x}-{end:#x} is empty or not made of whole pages")]
    Vma {
        /// Its first address.
        start: u64,
        /// One past its last address.
        end: u64,
    },
    /// A run of no leaves.
    #[error("the run at {start:#x} has no leaves")]
    NoLeaves {
        /// Where it would start.
        start: u64,
    },
    /// A leaf lies at a multiple of its size, always.
    #[error("the run at {start:#x} does not start at a multiple of its leaf size {size}")]
    Misaligned {
        /// Where it starts.
        start: u64,
        /// The size of its leaves.
        size: LeafSize,
    },
    /// It would end past the last address that there is.
    #[error("the run at {start:#x} is longer than the address space")]
    Overflow {
        /// Where it starts.
        start: u64,
    },
    /// It is not, or not completely, in the VMA.
    #[error("the run {start:#x}-{end:#x} is not inside of its VMA")]
    Outside {
        /// Its first address.
        start: u64,
        /// One past its last address.
        end: u64,
    },
    /// It starts before the run before it has ended.
    #[error("the run at {start:#x} starts before the run before it ends at {end:#x}")]
    Overlap {
        /// Where it starts.
        start: u64,
        /// Where the run before it ends.
        end: u64,
    },
    /// More leaves have a mark than there are.
    #[error("the run at {start:#x} has more marks than leaves")]
    Marks {
        /// Where it starts.
        start: u64,
    },
    /// No folio is as large as that.
    #[error("the run at {start:#x} maps folios of the impossible order {order}")]
    FolioOrder {
        /// Where it starts.
        start: u64,
        /// The order.
        order: u8,
    },
}

impl LeafMap {
    /// Makes the leaf map of a VMA from runs in the order of their addresses.
    ///
    /// Fills what is between them with holes, and joins neighbours that are alike. Holes are
    /// counted in base pages, without marks and folios, whatever the input says.
    ///
    /// # Errors
    /// When the runs are impossible: see [`InvalidRuns`].
    pub fn from_runs(vma: Vma, runs: impl IntoIterator<Item = Run>) -> Result<Self, InvalidRuns> {
        let is_page = |address: u64| address.is_multiple_of(LeafSize::BASE.bytes());
        if vma.start >= vma.end || !is_page(vma.start) || !is_page(vma.end) {
            return Err(InvalidRuns::Vma { start: vma.start, end: vma.end });
        }
        let mut joined = Vec::new();
        let mut covered = vma.start;
        for run in runs {
            let end = checked_end(&run, &vma, covered)?;
            push(&mut joined, hole(covered..run.start));
            push(
                &mut joined,
                if run.kind == LeafKind::Hole { hole(run.start..end) } else { Some(run) },
            );
            covered = end;
        }
        push(&mut joined, hole(covered..vma.end));
        joined.shrink_to_fit();
        Ok(Self { vma, runs: joined })
    }

    /// The VMA.
    #[must_use]
    pub const fn vma(&self) -> &Vma {
        &self.vma
    }

    /// Its runs, holes included; at least one.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Walks over all leaves.
    #[must_use]
    pub fn iter(&self) -> LeafWalk<'_> {
        self.walk(self.vma.range())
    }

    /// Walks over the leaves in a range of addresses; see [`LeafWalk`].
    #[must_use]
    pub fn walk(&self, range: Range<u64>) -> LeafWalk<'_> {
        LeafWalk::new(std::slice::from_ref(self), range)
    }
}

impl<'a> IntoIterator for &'a LeafMap {
    type Item = super::walk::Batch<'a>;
    type IntoIter = LeafWalk<'a>;

    fn into_iter(self) -> LeafWalk<'a> {
        self.iter()
    }
}

/// Where a run ends, when it can follow what is covered already.
fn checked_end(run: &Run, vma: &Vma, covered: u64) -> Result<u64, InvalidRuns> {
    let start = run.start;
    if run.count == 0 {
        return Err(InvalidRuns::NoLeaves { start });
    }
    if !start.is_multiple_of(run.size.bytes()) {
        return Err(InvalidRuns::Misaligned { start, size: run.size });
    }
    let end = run
        .count
        .checked_mul(run.size.bytes())
        .and_then(|bytes| start.checked_add(bytes))
        .ok_or(InvalidRuns::Overflow { start })?;
    if start < vma.start || end > vma.end {
        return Err(InvalidRuns::Outside { start, end });
    }
    if start < covered {
        return Err(InvalidRuns::Overlap { start, end: covered });
    }
    if run.marks.is_some_and(|marks| marks.counts().iter().any(|&count| count > run.count)) {
        return Err(InvalidRuns::Marks { start });
    }
    match run.folio_order {
        Some(order) if order > MAX_FOLIO_ORDER => Err(InvalidRuns::FolioOrder { start, order }),
        _ => Ok(end),
    }
}

/// The hole that fills a range of whole base pages; `None` for an empty one.
fn hole(range: Range<u64>) -> Option<Run> {
    let count = (range.end - range.start) >> LeafSize::BASE.shift();
    (count > 0).then_some(Run {
        start: range.start,
        size: LeafSize::BASE,
        count,
        kind: LeafKind::Hole,
        folio_order: None,
        marks: None,
    })
}

/// Appends a run that begins where the last one ends, or makes the last one longer.
fn push(runs: &mut Vec<Run>, run: Option<Run>) {
    let Some(run) = run else { return };
    match runs.last_mut() {
        Some(last) if last.is_like(&run) => last.join(&run),
        _ => runs.push(run),
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidRuns, LeafMap};
    use crate::model::{
        fixture::{run, vma},
        leaf::{LeafKind, LeafSize, Marks, Run},
    };

    const M: u64 = 1 << 20;

    #[test]
    fn holes_are_filled_and_neighbours_joined() {
        let runs = [
            run(2 * M, LeafSize::PMD, 1, LeafKind::Present),
            run(4 * M, LeafSize::PMD, 2, LeafKind::Present),
            run(8 * M, LeafSize::PMD, 1, LeafKind::Hole),
            run(12 * M, LeafSize::BASE, 1, LeafKind::Swap),
        ];
        let map = LeafMap::from_runs(vma(0..16 * M), runs).unwrap();
        let got: Vec<_> = map.runs().iter().map(|r| (r.start, r.bytes(), r.kind)).collect();
        assert_eq!(
            got,
            [
                (0, 2 * M, LeafKind::Hole),
                (2 * M, 6 * M, LeafKind::Present),
                (8 * M, 4 * M, LeafKind::Hole),
                (12 * M, 4096, LeafKind::Swap),
                (12 * M + 4096, 4 * M - 4096, LeafKind::Hole),
            ]
        );
    }

    #[test]
    fn marks_are_added_up_and_keep_runs_apart_where_unknown() {
        let marks = Some(Marks { young: 1, ..Marks::default() });
        let one = |start, marks| Run { marks, ..run(start, LeafSize::BASE, 1, LeafKind::Present) };
        let runs = [one(0, marks), one(4096, marks), one(8192, None)];
        let map = LeafMap::from_runs(vma(0..12288), runs).unwrap();
        assert_eq!(map.runs().len(), 2);
        assert_eq!(map.runs()[0].marks.unwrap().young, 2);
    }

    #[test]
    fn the_impossible_is_refused() {
        let try_runs =
            |runs: &[Run]| LeafMap::from_runs(vma(2 * M..8 * M), runs.iter().copied()).unwrap_err();
        let base = |start, count| run(start, LeafSize::BASE, count, LeafKind::Present);
        assert!(matches!(try_runs(&[base(2 * M, 0)]), InvalidRuns::NoLeaves { .. }));
        assert!(matches!(try_runs(&[base(2 * M + 1, 1)]), InvalidRuns::Misaligned { .. }));
        assert!(matches!(try_runs(&[base(2 * M, u64::MAX)]), InvalidRuns::Overflow { .. }));
        assert!(matches!(try_runs(&[base(2 * M, 1 << 52)]), InvalidRuns::Overflow { .. }));
        assert!(matches!(try_runs(&[base(M, 1)]), InvalidRuns::Outside { .. }));
        assert!(matches!(try_runs(&[base(6 * M, 513)]), InvalidRuns::Outside { .. }));
        let two = [base(2 * M, 2), base(2 * M + 4096, 1)];
        assert!(matches!(try_runs(&two), InvalidRuns::Overlap { .. }));
        let marks = Some(Marks { dirty: 2, ..Marks::default() });
        assert!(matches!(try_runs(&[Run { marks, ..base(2 * M, 1) }]), InvalidRuns::Marks { .. }));
        let folio = Run { folio_order: Some(200), ..base(2 * M, 1) };
        assert!(matches!(try_runs(&[folio]), InvalidRuns::FolioOrder { .. }));
        for range in [4096..4096, 1..4096, 0..4097] {
            let map = LeafMap::from_runs(vma(range), []);
            assert!(matches!(map.unwrap_err(), InvalidRuns::Vma { .. }));
        }
    }

    #[test]
    fn a_uniform_tebibyte_costs_less_than_a_kibibyte() {
        let runs = (0..1 << 10).map(|i| run(i << 30, LeafSize::PMD, 512, LeafKind::Present));
        for map in [
            LeafMap::from_runs(vma(0..1 << 40), runs).unwrap(),
            LeafMap::from_runs(vma(0..1 << 40), []).unwrap(),
        ] {
            assert_eq!(map.runs().len(), 1);
            assert_eq!(map.runs.capacity(), 1);
            assert!(size_of::<LeafMap>() + size_of::<Run>() < 1024);
        }
    }
}
