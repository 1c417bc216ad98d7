//! Collects leaves, in order of address, into the runs of each VMA.

use std::ops::Range;

use crate::model::{
    leaf::{LeafKind, LeafSize, Marks, Run},
    vma::{Vma, VmaKind},
};

/// Like leaves, next to each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaves {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) size: LeafSize,
    pub(crate) kind: LeafKind,
    pub(crate) soft_dirty: bool,
    pub(crate) uffd_wp: bool,
}

/// The runs of one VMA: whatever comes in, they cover it without gap or overlap.
#[derive(Debug)]
pub(crate) struct Runs {
    done: Vec<Run>,
    next: u64,
    end: u64,
    marks: bool,
    /// Huge leaves of which a part was cut off: the process changed its VMAs meanwhile.
    pub(crate) cut: u64,
}

impl Runs {
    pub(crate) fn new(range: Range<u64>, marks: bool) -> Self {
        Self { done: Vec::new(), next: range.start, end: range.end, marks, cut: 0 }
    }

    /// Adds leaves; what lies before the last ones or outside the VMA is cut off. What is left of a
    /// leaf that is cut counts as base pages.
    pub(crate) fn push(&mut self, leaves: Leaves) {
        let (start, end) = (leaves.start.max(self.next), leaves.end.min(self.end));
        if start >= end {
            return;
        }
        self.hole_until(start);
        let size = leaves.size;
        let mask = size.bytes() - 1;
        if (start | end) & mask != 0 {
            let base = Leaves { size: LeafSize::BASE, ..leaves };
            let first = ((start + mask) & !mask).min(end);
            let last = (end & !mask).max(first);
            self.cut += u64::from(start < first) + u64::from(last < end);
            self.push(Leaves { start, end: first, ..base });
            self.push(Leaves { start: first, end: last, ..leaves });
            self.push(Leaves { start: last, end, ..base });
            return;
        }
        let count = (end - start) >> size.shift();
        let of = |mark: bool| if mark { count } else { 0 };
        let marks = self.marks.then(|| Marks {
            soft_dirty: of(leaves.soft_dirty),
            uffd_wp: of(leaves.uffd_wp),
            ..Marks::default()
        });
        self.append(Run { start, size, count, kind: leaves.kind, folio_order: None, marks });
    }

    /// The runs, up to the end of the VMA.
    pub(crate) fn finish(mut self) -> Vec<Run> {
        self.hole_until(self.end);
        self.done
    }

    fn hole_until(&mut self, end: u64) {
        if self.next < end {
            let count = (end - self.next) >> LeafSize::BASE.shift();
            let marks = self.marks.then(Marks::default);
            let (start, size, kind) = (self.next, LeafSize::BASE, LeafKind::Hole);
            self.append(Run { start, size, count, kind, folio_order: None, marks });
        }
    }

    fn append(&mut self, run: Run) {
        self.next = run.end();
        append(&mut self.done, run);
    }
}

/// Adds a run, to the last one where that is alike.
fn append(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if (last.size, last.kind) == (run.size, run.kind) && last.end() == run.start => {
            last.count += run.count;
            if let (Some(sum), Some(more)) = (&mut last.marks, run.marks) {
                sum.soft_dirty += more.soft_dirty;
                sum.uffd_wp += more.uffd_wp;
            }
        }
        _ => runs.push(run),
    }
}

/// Makes base leaves of the present PMD leaves after the first `keep`.
pub(crate) fn demote(runs: Vec<Run>, mut keep: u64) -> Vec<Run> {
    let mut result = Vec::with_capacity(runs.len());
    for run in runs {
        let huge =
            run.size == LeafSize::PMD && matches!(run.kind, LeafKind::Present | LeafKind::ProtNone);
        if !huge {
            append(&mut result, run);
            continue;
        }
        let kept = run.count.min(keep);
        keep -= kept;
        if kept > 0 {
            append(&mut result, part(&run, 0..kept));
        }
        if kept < run.count {
            let mut rest = part(&run, kept..run.count);
            let factor = LeafSize::PMD.bytes() / LeafSize::BASE.bytes();
            rest.size = LeafSize::BASE;
            rest.count *= factor;
            if let Some(marks) = &mut rest.marks {
                marks.soft_dirty *= factor;
                marks.uffd_wp *= factor;
            }
            append(&mut result, rest);
        }
    }
    result
}

/// Some leaves of a run; their marks in proportion.
fn part(run: &Run, leaves: Range<u64>) -> Run {
    let share = |marked: u64| {
        let upto = |count: u64| marked.min(count);
        upto(leaves.end) - upto(leaves.start)
    };
    Run {
        start: run.start + (leaves.start << run.size.shift()),
        count: leaves.end - leaves.start,
        marks: run.marks.map(|marks| Marks {
            soft_dirty: share(marks.soft_dirty),
            uffd_wp: share(marks.uffd_wp),
            ..marks
        }),
        ..*run
    }
}

/// The size of a leaf that is not a base page.
pub(crate) const fn huge_size(vma: &Vma) -> LeafSize {
    match vma.kind {
        VmaKind::Hugetlb(size) => size,
        _ => LeafSize::PMD,
    }
}

/// What a present leaf is: x86 maps everything in a VMA without any permission as PROT_NONE
/// (`protection_map`), and mprotect changes what is there already. A page of zeroes that traps is one all the same,
/// as for the page-table scan.
pub(crate) const fn present(vma: &Vma, zero: bool) -> LeafKind {
    let permissions = vma.permissions;
    if zero {
        LeafKind::Zero
    } else if !(permissions.read || permissions.write || permissions.execute) {
        LeafKind::ProtNone
    } else {
        LeafKind::Present
    }
}

#[cfg(test)]
mod tests {
    use super::{Leaves, Runs, demote};
    use crate::model::leaf::{LeafKind, LeafSize, Run};

    const M2: u64 = 2 << 20;

    fn leaves(start: u64, end: u64, size: LeafSize, kind: LeafKind) -> Leaves {
        Leaves { start, end, size, kind, soft_dirty: true, uffd_wp: false }
    }

    fn shape(runs: &[Run]) -> Vec<(u64, u8, u64, LeafKind)> {
        runs.iter().map(|run| (run.start, run.size.shift(), run.count, run.kind)).collect()
    }

    #[test]
    fn runs_cover_the_vma_whatever_comes() {
        let mut runs = Runs::new(0x1000..0x9000, true);
        let base = |start, end, kind| leaves(start, end, LeafSize::BASE, kind);
        runs.push(base(0, 0x2000, LeafKind::Present));
        runs.push(base(0x2000, 0x3000, LeafKind::Present));
        runs.push(base(0x2000, 0x3000, LeafKind::Swap));
        runs.push(base(0x5000, 0x6000, LeafKind::Swap));
        runs.push(base(0x8000, 0xa000, LeafKind::Zero));
        runs.push(base(0x9000, 0xa000, LeafKind::Zero));
        let runs = runs.finish();
        assert_eq!(
            shape(&runs),
            [
                (0x1000, 12, 2, LeafKind::Present),
                (0x3000, 12, 2, LeafKind::Hole),
                (0x5000, 12, 1, LeafKind::Swap),
                (0x6000, 12, 2, LeafKind::Hole),
                (0x8000, 12, 1, LeafKind::Zero),
            ]
        );
        assert_eq!(runs[0].marks.unwrap().soft_dirty, 2);
        assert_eq!(runs[1].marks.unwrap().soft_dirty, 0);
    }

    #[test]
    fn a_cut_huge_leaf_is_no_huge_leaf() {
        let mut runs = Runs::new(M2 + 0x1000..4 * M2, false);
        runs.push(leaves(M2, 2 * M2, LeafSize::PMD, LeafKind::Present));
        runs.push(leaves(2 * M2, 4 * M2, LeafSize::PMD, LeafKind::Present));
        assert_eq!(runs.cut, 1);
        let expected =
            [(M2 + 0x1000, 12, 511, LeafKind::Present), (2 * M2, 21, 2, LeafKind::Present)];
        assert_eq!(shape(&runs.finish()), expected);
    }

    #[test]
    fn only_the_leaf_that_is_cut_becomes_base_pages() {
        let mut runs = Runs::new(0x1000..4 * M2 - 0x1000, false);
        runs.push(leaves(0, 4 * M2, LeafSize::PMD, LeafKind::Present));
        assert_eq!(runs.cut, 2);
        let sizes: Vec<_> = runs.finish().iter().map(|run| (run.size, run.count)).collect();
        assert_eq!(sizes, [(LeafSize::BASE, 511), (LeafSize::PMD, 2), (LeafSize::BASE, 511)]);
    }

    #[test]
    fn demoted_leaves_join_their_neighbours() {
        let mut runs = Runs::new(0..8 * M2, true);
        runs.push(leaves(0, 3 * M2, LeafSize::PMD, LeafKind::Present));
        runs.push(leaves(3 * M2, 4 * M2, LeafSize::BASE, LeafKind::Present));
        runs.push(leaves(4 * M2, 5 * M2, LeafSize::PMD, LeafKind::Zero));
        runs.push(leaves(5 * M2, 6 * M2, LeafSize::PMD, LeafKind::Present));
        let runs = demote(runs.finish(), 1);
        let expected = [
            (0, 21, 1, LeafKind::Present),
            (M2, 12, 3 * 512, LeafKind::Present),
            (4 * M2, 21, 1, LeafKind::Zero),
            (5 * M2, 12, 512, LeafKind::Present),
            (6 * M2, 12, 1024, LeafKind::Hole),
        ];
        assert_eq!(shape(&runs), expected);
        assert_eq!(runs[1].marks.unwrap().soft_dirty, 3 * 512);
    }
}
