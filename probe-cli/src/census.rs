//! The totals of all processes by leaf size, as they are read in turn.

use std::collections::BTreeMap;

use crate::model::sizes::Sizes;

/// What a process came to when it was read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// When it was read, in ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The process.
    pub pid: u32,
    /// Its name, escaped.
    pub comm: String,
    /// Bytes by leaf size.
    pub sizes: Sizes,
}

/// What a turn brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Processes that were read.
    pub counts: Vec<Count>,
    /// Processes that have ended.
    pub gone: Vec<u32>,
    /// Processes that are not read: there are too many, or they do not let themselves be read.
    pub left_out: usize,
}

/// The last count of each process.
#[derive(Clone, Debug, Default)]
pub struct Census {
    counts: BTreeMap<u32, Count>,
    left_out: usize,
}

impl Census {
    /// Takes in what a turn brought.
    pub fn take(&mut self, found: Found) {
        for pid in found.gone {
            self.counts.remove(&pid);
        }
        self.counts.extend(found.counts.into_iter().map(|count| (count.pid, count)));
        self.left_out = found.left_out;
    }

    /// The last count of a process.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Count> {
        self.counts.get(&pid)
    }

    /// All counts, by PID.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Count> {
        self.counts.values()
    }

    /// When the count was made that is the oldest, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.counts.values().map(|count| count.time).min()
    }

    /// How many processes are not read.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::{Census, Count, Found};
    use crate::model::sizes::Sizes;

    #[test]
    fn the_last_count_counts() {
        let count = |pid, time| Count { time, pid, comm: String::new(), sizes: Sizes::default() };
        let mut census = Census::default();
        census.take(Found { counts: vec![count(1, 10), count(2, 11)], ..Found::default() });
        census.take(Found { counts: vec![count(1, 20)], gone: vec![9], left_out: 3 });
        assert_eq!((census.oldest(), census.left_out(), census.iter().len()), (Some(11), 3, 2));
        census.take(Found { gone: vec![2], ..Found::default() });
        assert_eq!((census.oldest(), census.get(2)), (Some(20), None));
    }
}
