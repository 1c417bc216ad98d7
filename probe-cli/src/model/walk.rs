//! The way over the leaves of a translation set.

use std::{iter::FusedIterator, ops::Range};

use super::{leaf::Run, map::LeafMap, vma::Vma};

/// Like leaves side by side, and the VMA that they are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The VMA.
    pub vma: &'a Vma,
    /// The leaves: a whole run, or the part of it that is in the range walked over.
    pub run: Run,
}

/// An iterator over the leaves in a range of addresses, in batches of compatible ones.
///
/// It goes upwards, and downwards with [`rev`](Iterator::rev). It finds its start in O(log n), makes
/// each batch in O(1), calls nothing back and allocates nothing. Holes are batches, too, so that the
/// batches of a VMA lie side by side; where there is no VMA there is no batch.
///
/// **The ends of the range.** A leaf is the smallest thing that there is: one that the range only
/// touches is in the batch as a whole. So walks over ranges that meet inside of a huge leaf both
/// yield that leaf; [`Run::overlap`] says how many bytes of a batch are in the range. Of a
/// part of a run marks may be unknown: see [`Run::clip`].
///
/// # Examples
///
/// How much of a range is mapped by huge leaves?
///
/// ```
/// use walkprobe::model::{
///     leaf::{LeafKind, LeafSize, Run},
///     map::LeafMap,
///     set::{Origin, TranslationSet},
///     vma::{Permissions, Vma, VmaKind},
/// };
///
/// let vma = Vma {
///     start: 0x4000_0000,
///     end: 0x4080_0000,
///     permissions: Permissions { read: true, write: true, ..Permissions::default() },
///     kind: VmaKind::Anonymous,
///     name: String::new(),
///     offset: 0,
///     flags: None,
/// };
/// let leaves = |start, size, count| Run {
///     start,
///     size,
///     count,
///     kind: LeafKind::Present,
///     folio_order: None,
///     marks: None,
/// };
/// // Two huge leaves, ten base pages, and nothing after them.
/// let map = LeafMap::from_runs(
///     vma,
///     [leaves(0x4000_0000, LeafSize::PMD, 2), leaves(0x4040_0000, LeafSize::BASE, 10)],
/// )?;
/// let set = TranslationSet::new(Origin::default(), vec![map])?;
///
/// let range = 0x4030_0000..0x4040_5000;
/// let mut huge = 0;
/// for batch in set.walk(range.clone()) {
///     if batch.run.kind.is_mapped() && batch.run.size.is_huge() {
///         huge += batch.run.overlap(&range);
///     }
/// }
/// assert_eq!(huge, 1 << 20);
///
/// // The second huge leaf is only touched, and comes whole; of the base pages come five.
/// let batches: Vec<_> = set.walk(range).map(|b| (b.run.start, b.run.size, b.run.count)).collect();
/// assert_eq!(batches, [(0x4020_0000, LeafSize::PMD, 1), (0x4040_0000, LeafSize::BASE, 5)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LeafWalk<'a> {
    range: Range<u64>,
    /// What is left of the map that the front is in.
    front: Option<Part<'a>>,
    /// The maps that neither end has reached: all of their runs are in the range.
    middle: &'a [LeafMap],
    /// What is left of the map that the back is in.
    back: Option<Part<'a>>,
}

/// Some runs of one VMA, none of them outside of the range.
#[derive(Clone, Debug)]
struct Part<'a> {
    vma: &'a Vma,
    runs: &'a [Run],
}

impl<'a> LeafWalk<'a> {
    /// Walks over maps that are in the order of their addresses and do not overlap.
    pub(super) fn new(maps: &'a [LeafMap], range: Range<u64>) -> Self {
        let first = maps.partition_point(|map| map.vma().end <= range.start);
        let last = maps.partition_point(|map| map.vma().start < range.end);
        let maps = maps.get(first..last).filter(|_| !range.is_empty()).unwrap_or_default();
        let (front, middle, back) = match maps {
            [] => (None, maps, None),
            [only] => (Some(Part::of(only, &range)), &maps[..0], None),
            [first, middle @ .., last] => {
                (Some(Part::of(first, &range)), middle, Some(Part::of(last, &range)))
            }
        };
        Self { range, front, middle, back }
    }

    /// Runs in the two maps that are begun.
    fn begun(&self) -> usize {
        [&self.front, &self.back].into_iter().flatten().map(|part| part.runs.len()).sum()
    }

    fn batch(&self, vma: &'a Vma, run: Run) -> Option<Batch<'a>> {
        run.clip(&self.range).map(|run| Batch { vma, run })
    }
}

impl<'a> Part<'a> {
    fn of(map: &'a LeafMap, range: &Range<u64>) -> Self {
        let runs = map.runs();
        let first = runs.partition_point(|run| run.end() <= range.start);
        let last = runs.partition_point(|run| run.start < range.end);
        Self { vma: map.vma(), runs: runs.get(first..last).unwrap_or_default() }
    }

    fn whole(map: &'a LeafMap) -> Self {
        Self { vma: map.vma(), runs: map.runs() }
    }

    fn next(&mut self) -> Option<(&'a Vma, Run)> {
        self.runs.split_off_first().map(|run| (self.vma, *run))
    }

    fn next_back(&mut self) -> Option<(&'a Vma, Run)> {
        self.runs.split_off_last().map(|run| (self.vma, *run))
    }
}

impl<'a> Iterator for LeafWalk<'a> {
    type Item = Batch<'a>;

    fn next(&mut self) -> Option<Batch<'a>> {
        loop {
            if let Some((vma, run)) = self.front.as_mut().and_then(Part::next) {
                return self.batch(vma, run);
            }
            match self.middle.split_off_first() {
                Some(map) => self.front = Some(Part::whole(map)),
                // Nothing is left but what the other end has begun.
                None => self.front = Some(self.back.take()?),
            }
        }
    }

    /// Exact when at most two VMAs are left; every other one has at least one batch.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let begun = self.begun();
        (begun + self.middle.len(), self.middle.is_empty().then_some(begun))
    }

    fn count(self) -> usize {
        self.begun() + self.middle.iter().map(|map| map.runs().len()).sum::<usize>()
    }

    fn last(mut self) -> Option<Batch<'a>> {
        self.next_back()
    }
}

impl DoubleEndedIterator for LeafWalk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((vma, run)) = self.back.as_mut().and_then(Part::next_back) {
                return self.batch(vma, run);
            }
            match self.middle.split_off_last() {
                Some(map) => self.back = Some(Part::whole(map)),
                None => self.back = Some(self.front.take()?),
            }
        }
    }
}

impl FusedIterator for LeafWalk<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::model::{fixture, leaf::Run, set::TranslationSet};

    fn runs(set: &TranslationSet) -> Vec<Run> {
        set.maps().iter().flat_map(|map| map.runs().iter().copied()).collect()
    }

    proptest! {
        #[test]
        fn a_walk_over_all_is_all_runs(set in fixture::any_set()) {
            let walked: Vec<_> = set.walk(0..u64::MAX).map(|batch| batch.run).collect();
            prop_assert_eq!(&walked, &runs(&set));
            prop_assert_eq!(set.walk(0..u64::MAX).count(), walked.len());
            prop_assert_eq!(set.walk(0..u64::MAX).last().map(|b| b.run), walked.last().copied());
            let mut back: Vec<_> = set.walk(0..u64::MAX).rev().map(|batch| batch.run).collect();
            back.reverse();
            prop_assert_eq!(back, walked);
        }

        #[test]
        fn ranges_side_by_side_have_the_same_bytes(
            set in fixture::any_set(),
            mut cuts in prop::collection::vec(0..fixture::TOP, 0..6),
        ) {
            cuts.extend([0, u64::MAX]);
            cuts.sort_unstable();
            let mut bytes = 0;
            let mut at = 0;
            for cut in cuts.windows(2) {
                let range = cut[0]..cut[1];
                for batch in set.walk(range.clone()) {
                    prop_assert!(batch.run.overlap(&range) > 0);
                    prop_assert!(batch.run.start.is_multiple_of(batch.run.size.bytes()));
                    prop_assert!(batch.vma.start <= batch.run.start);
                    prop_assert!(batch.run.end() <= batch.vma.end);
                    prop_assert!(batch.run.start.max(range.start) >= at);
                    at = batch.run.end().min(range.end);
                    bytes += batch.run.overlap(&range);
                }
            }
            prop_assert_eq!(bytes, runs(&set).iter().map(Run::bytes).sum::<u64>());
        }

        #[test]
        fn both_ends_meet(
            set in fixture::any_set(),
            start in 0..fixture::TOP,
            length in 0..fixture::TOP,
            turns in prop::collection::vec(any::<bool>(), 0..64),
        ) {
            let range = start..start + length;
            let all: Vec<_> = set.walk(range.clone()).collect();
            let mut walk = set.walk(range);
            let (mut low, mut high) = (Vec::new(), Vec::new());
            for up in turns.into_iter().chain(std::iter::repeat_n(true, 1000)) {
                let left = all.len() - low.len() - high.len();
                let (least, most) = walk.size_hint();
                prop_assert!(least <= left && most.is_none_or(|most| most == left));
                let next = if up { walk.next() } else { walk.next_back() };
                match next {
                    Some(batch) if up => low.push(batch),
                    Some(batch) => high.push(batch),
                    None => break,
                }
            }
            low.extend(high.into_iter().rev());
            prop_assert_eq!(low, all);
            prop_assert!(walk.next().is_none() && walk.next_back().is_none());
        }
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "what is tested")]
    fn empty_ranges_and_gaps_have_no_batches() {
        let set = fixture::set();
        assert_eq!(set.walk(0..0).count(), 0);
        assert_eq!(set.walk(u64::MAX..0).count(), 0);
        assert_eq!(set.walk(0..set.maps()[0].vma().start).next(), None);
        let inside = set.maps()[0].vma().start + 1;
        assert_eq!(set.walk(inside..inside).next(), None);
        assert_eq!(set.walk(inside..inside + 1).count(), 1);
    }
}
