//! The transactions: what changed an address space, one operation after another.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use rangemap::RangeSet;

use crate::{event::Event, model::diff::State};

/// How many transactions are kept of one address space.
pub const LOG_LEN: usize = 4096;

/// One operation, and what it did to the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Counts from 1.
    pub number: u64,
    /// When it began, in ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// What it was.
    pub cause: Cause,
    /// Which addresses it named; empty for all of them. The second is where something was moved to, or from.
    pub ranges: [Range<u64>; 2],
    /// Bytes by what they were before and after.
    pub changes: BTreeMap<(State, State), u64>,
    /// When what it did had been read, in ns of `CLOCK_MONOTONIC`; absent until then.
    pub settled: Option<u64>,
}

/// What made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An operation of the kernel.
    Operation(Arc<Event>),
    /// A reading found what no event had told of.
    Unseen,
    /// So many events were lost, of all processes: anything can have changed.
    Lost(u64),
}

impl Transaction {
    /// When it was over, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn end(&self) -> u64 {
        match &self.cause {
            Cause::Operation(event) => event.end(),
            Cause::Unseen | Cause::Lost(_) => self.time,
        }
    }

    /// Whether it concerns a part of a range.
    #[must_use]
    pub fn concerns(&self, range: &Range<u64>) -> bool {
        let touches = |own: &Range<u64>| own.start < range.end && range.start < own.end;
        self.ranges.iter().all(Range::is_empty) || self.ranges.iter().any(touches)
    }

    fn weight(&self) -> usize {
        let event = match &self.cause {
            Cause::Operation(event) => event.weight(),
            Cause::Unseen | Cause::Lost(_) => 0,
        };
        1 + event + self.changes.len()
    }

    /// Whether all addresses that it named were read: where there were torn tables, not all were.
    pub(super) fn is_covered(&self, covered: &RangeSet<u64>) -> bool {
        let mut named = self.ranges.iter().filter(|range| !range.is_empty()).peekable();
        named.peek().is_some() && named.all(|range| covered.gaps(range).next().is_none())
    }

    pub(super) fn add(&mut self, before: State, after: State, bytes: u64) {
        if before != after {
            *self.changes.entry((before, after)).or_default() += bytes;
        }
    }

    pub(super) fn subtract(&mut self, before: State, after: State, bytes: u64) {
        if let Some(sum) = self.changes.get_mut(&(before, after)) {
            *sum = sum.saturating_sub(bytes);
            if *sum == 0 {
                self.changes.remove(&(before, after));
            }
        }
    }
}

/// The last transactions.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    kept: VecDeque<Transaction>,
    last: u64,
    weight: usize,
    /// All before this one are settled.
    open: u64,
}

impl Log {
    /// Appends one; gives its number.
    pub(super) fn push(&mut self, time: u64, cause: Cause, ranges: [Range<u64>; 2]) -> u64 {
        self.last += 1;
        if self.kept.len() == LOG_LEN
            && let Some(oldest) = self.kept.pop_front()
        {
            self.weight -= oldest.weight();
        }
        let number = self.last;
        let changes = BTreeMap::new();
        let transaction = Transaction { number, time, cause, ranges, changes, settled: None };
        self.weight += transaction.weight();
        self.kept.push_back(transaction);
        number
    }

    fn place(&self, number: u64) -> Option<usize> {
        // Where it is when none of those after it has been forgotten.
        let from_last = usize::try_from(self.last.checked_sub(number)?).ok()?;
        let place = self.kept.len().wrapping_sub(from_last).wrapping_sub(1);
        if self.kept.get(place).is_some_and(|transaction| transaction.number == number) {
            return Some(place);
        }
        self.kept.binary_search_by_key(&number, |transaction| transaction.number).ok()
    }

    /// The transaction with a number, if it is still kept.
    pub(super) fn get(&self, number: u64) -> Option<&Transaction> {
        self.kept.get(self.place(number)?)
    }

    /// Changes a transaction, if it is still kept.
    pub(super) fn change(&mut self, number: u64, change: impl FnOnce(&mut Transaction)) {
        if let Some(transaction) = self.place(number).and_then(|place| self.kept.get_mut(place)) {
            self.weight -= transaction.weight();
            change(transaction);
            self.weight += transaction.weight();
        }
    }

    /// How much memory it takes, about, in pieces.
    pub(super) const fn weight(&self) -> usize {
        self.weight
    }

    /// Asks of each transaction that is not settled when what it did had been read.
    pub(super) fn settle(&mut self, when: impl Fn(&Transaction) -> Option<u64>) {
        let first = self.kept.partition_point(|transaction| transaction.number < self.open);
        let mut open = None;
        for transaction in self.kept.range_mut(first..) {
            transaction.settled = transaction.settled.or_else(|| when(transaction));
            if transaction.settled.is_none() {
                open.get_or_insert(transaction.number);
            }
        }
        self.open = open.unwrap_or(self.last + 1);
    }

    /// Forgets a transaction that did nothing.
    pub(super) fn forget(&mut self, number: u64) {
        if let Some(forgotten) = self.place(number).and_then(|place| self.kept.remove(place)) {
            self.weight -= forgotten.weight();
        }
    }

    /// All that are kept, the oldest first.
    pub(super) fn kept(&self) -> &VecDeque<Transaction> {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, LOG_LEN, Log};

    #[test]
    fn what_is_settled_late_is_not_forgotten() {
        let mut log = Log::default();
        for time in 1..=4 {
            log.push(time, Cause::Unseen, [0..0, 0..0]);
        }
        log.settle(|transaction| (transaction.time != 2).then_some(10));
        log.settle(|transaction| (transaction.time > 4).then_some(20));
        log.settle(|_| Some(30));
        let settled: Vec<_> = log.kept().iter().map(|transaction| transaction.settled).collect();
        assert_eq!(settled, [Some(10), Some(30), Some(10), Some(10)]);
    }

    #[test]
    fn the_last_ones_are_found_by_number() {
        let mut log = Log::default();
        for time in 0..LOG_LEN as u64 + 5 {
            assert_eq!(log.push(time, Cause::Unseen, [0..0, 0..0]), time + 1);
        }
        assert!(log.get(5).is_none() && log.get(0).is_none());
        assert_eq!(log.get(6).map(|transaction| transaction.time), Some(5));
        assert_eq!(log.kept().len(), LOG_LEN);
    }
}
