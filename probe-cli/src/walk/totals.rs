//! What the calls of walkers come to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{histogram::Histogram, site::Level};
use crate::event::Path;

/// Sums of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls.
    pub calls: u64,
    /// Entries of page tables that they were given; 0 where that is not told.
    pub entries: u64,
    /// Bytes of the ranges that they were given; 0 where that is not told.
    pub bytes: u64,
    /// Time in them, in ns, with what the programs themselves take.
    pub ns: u64,
    /// Calls by duration.
    pub durations: Histogram,
}

impl Totals {
    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.ns += other.ns;
        self.durations.merge(&other.durations);
    }

    /// What came since an earlier moment.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(before.calls),
            entries: self.entries.saturating_sub(before.entries),
            bytes: self.bytes.saturating_sub(before.bytes),
            ns: self.ns.saturating_sub(before.ns),
            durations: self.durations.since(&before.durations),
        }
    }
}

/// Sums of the calls of a site, on one path and level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The site's number.
    pub site: usize,
    /// The path, where it is told.
    pub path: Option<Path>,
    /// The level of the leaves.
    pub level: Level,
    /// The sums.
    pub totals: Totals,
}

/// Who walks whom, by a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The site's number.
    pub site: usize,
    /// The process that walks.
    pub actor: u32,
    /// Its name, escaped.
    pub comm: String,
    /// The process whose address space it is; 0 when the kernel does not tell.
    pub target: u32,
    /// Calls.
    pub calls: u64,
    /// Time in them, in ns.
    pub ns: u64,
}

/// Calls that are not in the sums, or not in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncounted {
    /// Calls whose beginning could not be remembered: in no sum.
    pub state: u64,
    /// Calls that the kernel did not show to the programs: in no sum.
    pub missed: u64,
    /// Calls whose processes found no room among the pairs: in the sums.
    pub parties: u64,
}

/// Everything that has been counted until a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// Rows with at least one call.
    pub rows: Vec<Row>,
    /// Who walks whom.
    pub pairs: Vec<Pair>,
    /// What could not be counted.
    pub uncounted: Uncounted,
}

impl Sample {
    /// What came since an earlier one.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let row = |row: &Row| {
            let is_same =
                |old: &&Row| (old.site, old.path, old.level) == (row.site, row.path, row.level);
            let old = before.rows.iter().find(is_same);
            let totals =
                old.map_or_else(|| row.totals.clone(), |old| row.totals.since(&old.totals));
            Row { totals, ..*row }
        };
        let key = |pair: &Pair| (pair.site, pair.actor, pair.target);
        let old: BTreeMap<_, _> = before.pairs.iter().map(|pair| (key(pair), pair)).collect();
        let pair = |pair: &Pair| {
            let (calls, ns) = old.get(&key(pair)).map_or((0, 0), |old| (old.calls, old.ns));
            let (calls, ns) = (pair.calls.saturating_sub(calls), pair.ns.saturating_sub(ns));
            Pair { calls, ns, ..pair.clone() }
        };
        Self {
            time: self.time,
            rows: self.rows.iter().map(row).filter(|row| row.totals.calls > 0).collect(),
            pairs: self.pairs.iter().map(pair).filter(|pair| pair.calls > 0).collect(),
            uncounted: self.uncounted.since(before.uncounted),
        }
    }
}

impl Uncounted {
    fn since(self, before: Self) -> Self {
        Self {
            state: self.state.saturating_sub(before.state),
            missed: self.missed.saturating_sub(before.missed),
            parties: self.parties.saturating_sub(before.parties),
        }
    }
}

/// What the programs take, in ns of each call: the median over calls of an empty function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// By fentry and fexit; absent where it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fentry: Option<f64>,
    /// By kprobe and kretprobe; absent where it could not be measured, or no function needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kprobe: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::{Level, Pair, Row, Sample, Totals, Uncounted};

    fn row(site: usize, calls: u64) -> Row {
        let totals =
            Totals { calls, entries: 2 * calls, bytes: 0, ns: 9 * calls, ..Totals::default() };
        Row { site, path: None, level: Level::Any, totals }
    }

    fn pair(site: usize, actor: u32, calls: u64) -> Pair {
        Pair { site, actor, comm: "sh".to_owned(), target: 4, calls, ns: 9 * calls }
    }

    #[test]
    fn what_was_counted_before_is_taken_off() {
        let uncounted = |number| Uncounted { state: number, missed: 2 * number, parties: 0 };
        let before = Sample {
            time: 1,
            rows: vec![row(1, 5), row(2, 7)],
            pairs: vec![pair(1, 3, 5), pair(2, 3, 7)],
            uncounted: uncounted(1),
        };
        let now = Sample {
            time: 2,
            rows: vec![row(1, 5), row(2, 10), row(3, 1)],
            pairs: vec![pair(1, 3, 5), pair(2, 3, 9), pair(2, 8, 1), pair(3, 3, 1)],
            uncounted: uncounted(3),
        };
        let expected = Sample {
            time: 2,
            rows: vec![row(2, 3), row(3, 1)],
            pairs: vec![pair(2, 3, 2), pair(2, 8, 1), pair(3, 3, 1)],
            uncounted: uncounted(2),
        };
        assert_eq!(now.since(&before), expected);
        assert_eq!(now.since(&Sample::default()), now);
    }
}
