//! Changes that a reading found and no event had told of, for as long as the event may still come: an operation
//! under way has done its work before it ends.

use std::{collections::VecDeque, ops::Range};

use crate::{event::Event, model::diff::State};

/// What one reading found.
#[derive(Clone, Debug)]
pub(super) struct Unseen {
    /// The number of its transaction.
    pub(super) number: u64,
    /// When the reading was, in ns of `CLOCK_MONOTONIC`.
    time: Range<u64>,
    /// What has no VMA any more, and so no piece: the addresses, and what stood there.
    gone: Vec<(Range<u64>, State)>,
}

/// What the last readings found.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(VecDeque<Unseen>);

/// Readings that are remembered: a tick has two of them, and an operation of more than some ticks is rare.
const READINGS: usize = 16;

impl Recent {
    /// Remembers what a reading found.
    pub(super) fn add(&mut self, number: u64, time: Range<u64>, gone: Vec<(Range<u64>, State)>) {
        if self.0.len() == READINGS {
            self.0.pop_front();
        }
        self.0.push_back(Unseen { number, time, gone });
    }

    /// How much memory it takes, about, in pieces.
    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|unseen| unseen.gone.len()).sum()
    }

    /// The numbers of what was found while an operation was under way.
    pub(super) fn during(&self, event: &Event) -> Vec<u64> {
        let is_during =
            |unseen: &&Unseen| event.time <= unseen.time.end && unseen.time.start <= event.end();
        self.0.iter().filter(is_during).map(|unseen| unseen.number).collect()
    }

    /// Takes out of a reading's finds what has no VMA any more and lies in a range.
    pub(super) fn take_gone(
        &mut self,
        number: u64,
        range: &Range<u64>,
    ) -> Vec<(Range<u64>, State)> {
        let Some(unseen) = self.0.iter_mut().find(|unseen| unseen.number == number) else {
            return Vec::new();
        };
        let is_inside =
            |(gone, _): &(Range<u64>, State)| range.start <= gone.start && gone.end <= range.end;
        let (inside, rest) = std::mem::take(&mut unseen.gone).into_iter().partition(is_inside);
        unseen.gone = rest;
        inside
    }
}
