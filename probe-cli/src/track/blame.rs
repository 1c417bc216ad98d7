//! Which of the operations since the last reading a change is laid to.

use std::{collections::BTreeMap, ops::Range};

use super::reach::blocks;
use crate::model::leaf::LeafSize;

/// An operation that no reading has caught up with.
#[derive(Clone, Debug)]
struct Operation {
    range: Range<u64>,
    end: u64,
    number: u64,
}

/// The operations that no reading has caught up with, by the tables of the last level that they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    narrow: BTreeMap<u64, Vec<Operation>>,
    /// Those about more than [`NARROW`] tables.
    wide: Vec<Operation>,
    /// Those that change VMAs, and no leaf.
    vmas: Vec<Operation>,
    /// How many entries all have.
    len: usize,
}

/// The most entries that are kept: a second of a flood of operations.
pub(super) const MOST: usize = 1 << 20;

/// Tables that an operation is entered at, one by one.
const NARROW: u64 = 4;

impl Operation {
    /// How many bytes lie between it and a range; 0 when they touch.
    fn distance(&self, range: &Range<u64>) -> u64 {
        let above = self.range.start.saturating_sub(range.end - 1);
        above.max(range.start.saturating_sub(self.range.end - 1))
    }
}

impl Pending {
    /// Remembers one that changed VMAs, and no leaf, and was over at `end`.
    pub(super) fn add_vmas(&mut self, number: u64, range: &Range<u64>, end: u64) {
        if !range.is_empty() {
            self.vmas.push(Operation { range: range.clone(), end, number });
            self.len += 1;
        }
    }

    /// The number of the newest change of VMAs that a range is in, or borders on: such a change made it a part of a VMA.
    pub(super) fn blame_for_vma(&self, range: &Range<u64>) -> Option<u64> {
        let near = self.vmas.iter().rev().find(|operation| operation.distance(range) <= 1);
        near.map(|operation| operation.number)
    }

    /// Remembers one that was over at `end`.
    pub(super) fn add(&mut self, number: u64, range: &Range<u64>, end: u64) {
        let operation = Operation { range: range.clone(), end, number };
        let blocks = blocks(range);
        let tables = (blocks.end - blocks.start) >> LeafSize::PMD.shift();
        if tables > NARROW {
            self.wide.push(operation);
            self.len += 1;
            return;
        }
        let mut at = blocks.start;
        while at < blocks.end {
            self.narrow.entry(at).or_default().push(operation.clone());
            self.len += 1;
            at += LeafSize::PMD.bytes();
        }
    }

    /// How many entries there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many operations [`Self::blame`] and [`Self::blame_for_vma`] have to look at for a range.
    pub(super) fn candidates(&self, range: &Range<u64>) -> usize {
        self.narrow.get(&table(range)).map_or(0, Vec::len) + self.wide.len() + self.vmas.len()
    }

    /// The number of the newest operation about a range; else of the newest of those nearest to it that share a
    /// table with it.
    pub(super) fn blame(&self, range: &Range<u64>) -> Option<u64> {
        let candidates = || {
            let narrow = self.narrow.get(&table(range)).into_iter().flatten();
            narrow.chain(self.wide.iter().filter(|wide| {
                let reach = blocks(&wide.range);
                reach.start < range.end && range.start < reach.end
            }))
        };
        // They are entered in order, and the one that is asked for is mostly one of the last.
        let about = |operations: &[Operation]| {
            let newest = operations.iter().rev().find(|operation| operation.distance(range) == 0);
            newest.map(|operation| operation.number)
        };
        let narrow = self.narrow.get(&table(range)).and_then(|narrow| about(narrow));
        narrow.max(about(&self.wide)).or_else(|| {
            candidates()
                .min_by_key(|operation| {
                    (operation.distance(range), std::cmp::Reverse(operation.number))
                })
                .map(|operation| operation.number)
        })
    }

    /// Forgets what was over before a reading that began at `time`.
    pub(super) fn caught_up(&mut self, time: u64) {
        for operations in self.narrow.values_mut() {
            operations.retain(|operation| operation.end >= time);
        }
        self.narrow.retain(|_, operations| !operations.is_empty());
        self.wide.retain(|operation| operation.end >= time);
        self.vmas.retain(|operation| operation.end >= time);
        self.len =
            self.narrow.values().map(Vec::len).sum::<usize>() + self.wide.len() + self.vmas.len();
    }
}

/// The table of the last level that a range begins in.
const fn table(range: &Range<u64>) -> u64 {
    range.start & !(LeafSize::PMD.bytes() - 1)
}

#[cfg(test)]
mod tests {
    use super::Pending;

    const M: u64 = 1 << 20;
    const PAGE: u64 = 4096;

    #[test]
    fn the_newest_one_there_is_blamed_else_the_nearest() {
        let mut pending = Pending::default();
        pending.add(1, &(0..PAGE), 10);
        pending.add(2, &(300 * PAGE..301 * PAGE), 20);
        pending.add(3, &(64 * M..128 * M), 30);
        pending.add(4, &(64 * M..64 * M + PAGE), 40);
        assert_eq!(pending.blame(&(0..PAGE)), Some(1));
        assert_eq!(pending.blame(&(PAGE..16 * PAGE)), Some(1));
        assert_eq!(pending.blame(&(290 * PAGE..300 * PAGE)), Some(2));
        assert_eq!(pending.blame(&(64 * M..64 * M + PAGE)), Some(4));
        assert_eq!(pending.blame(&(70 * M..80 * M)), Some(3));
        assert_eq!(pending.blame(&(4 * M..5 * M)), None);
        pending.caught_up(25);
        assert_eq!(pending.blame(&(0..PAGE)), None);
        assert_eq!(pending.blame(&(70 * M..80 * M)), Some(3));
    }
}
