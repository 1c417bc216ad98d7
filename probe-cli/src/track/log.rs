//! The transactions: what changed an address space, one operation after another.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

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
    Operation(Box<Event>),
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
}

impl Log {
    /// Appends one; gives its number.
    pub(super) fn push(&mut self, time: u64, cause: Cause, ranges: [Range<u64>; 2]) -> u64 {
        self.last += 1;
        if self.kept.len() == LOG_LEN {
            self.kept.pop_front();
        }
        let number = self.last;
        let changes = BTreeMap::new();
        self.kept.push_back(Transaction { number, time, cause, ranges, changes, settled: None });
        number
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.kept.binary_search_by_key(&number, |transaction| transaction.number).ok()
    }

    /// The transaction with a number, if it is still kept.
    pub(super) fn get(&self, number: u64) -> Option<&Transaction> {
        self.kept.get(self.place(number)?)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Transaction> {
        let place = self.place(number)?;
        self.kept.get_mut(place)
    }

    /// Forgets a transaction that did nothing.
    pub(super) fn forget(&mut self, number: u64) {
        if let Some(place) = self.place(number) {
            self.kept.remove(place);
        }
    }

    /// All that are kept, the oldest first.
    pub(super) fn kept(&self) -> &VecDeque<Transaction> {
        &self.kept
    }

    pub(super) fn kept_mut(&mut self) -> &mut VecDeque<Transaction> {
        &mut self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, LOG_LEN, Log};

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
