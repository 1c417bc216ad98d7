//! Which state of a map something was made of.

use crate::track::map::Tracked;

/// Maps of a process that have the same are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revision {
    readings: u64,
    transactions: u64,
    has_ended: bool,
}

impl From<&Tracked> for Revision {
    fn from(map: &Tracked) -> Self {
        Self {
            readings: map.readings(),
            transactions: map.transactions().back().map_or(0, |last| last.number),
            has_ended: map.has_ended(),
        }
    }
}

/// A map that changes all the time is summed up again this often, in ns.
const AGAIN: u64 = 200_000_000;

/// What something was made of, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    of: Revision,
    at: u64,
}

impl Made {
    /// It is made now.
    pub(super) fn of(map: &Tracked, now: u64) -> Self {
        Self { of: map.into(), at: now }
    }

    /// Whether it can still be shown: the map is the same, or the last time was a moment ago.
    pub(super) fn still_holds(&self, map: &Tracked, now: u64) -> bool {
        // Time goes back only where a trace is replayed from its beginning.
        self.at <= now && (self.of == map.into() || now - self.at < AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, Made};
    use crate::{
        model::fixture::vma,
        track::{fixture, map::Tracked},
    };

    #[test]
    fn what_is_old_holds_as_long_as_nothing_changes() {
        let mut map = Tracked::new(fixture::PID);
        map.read(&fixture::start(100, vma(0..4 << 20), vec![]));
        let made = Made::of(&map, 1000);
        assert!(made.still_holds(&map, u64::MAX));
        map.event(fixture::split(200, 0));
        assert!(made.still_holds(&map, 1000 + AGAIN - 1));
        assert!(!made.still_holds(&map, 1000 + AGAIN));
        // The time of a view that goes on after a pause can be an earlier one.
        assert!(!made.still_holds(&map, 999));
    }
}
