//! Operations by what they are.

use std::collections::BTreeMap;

use probe_common::probe::{PROBES, Probe};
use serde::Serialize;

use crate::{
    event::Event,
    maps::history,
    sample::Sample,
    track::log::{Cause, Transaction},
};

/// What one cause comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CauseTotal {
    /// The probe's name; `unseen` for what a reading found and no event had told of, `lost` for events that were lost.
    pub cause: &'static str,
    /// Event lines.
    pub events: u64,
    /// Operations on the processes asked for, as the kernel side counted them: those that are no events are in it.
    pub operations: u64,
    /// Operations that were lost.
    pub lost: u64,
    /// Time that events took, in ns.
    pub time: u64,
    /// The longest that one took, in ns.
    pub longest: u64,
    /// Bytes that changed.
    pub changed: u64,
    /// Bytes by what they were before and after, such as `2M -> 4K`.
    pub changes: BTreeMap<String, u64>,
}

impl CauseTotal {
    /// The change of the most bytes.
    #[must_use]
    pub fn largest(&self) -> Option<(&str, u64)> {
        let largest = self.changes.iter().max_by_key(|(_, bytes)| **bytes);
        largest.map(|(change, &bytes)| (change.as_str(), bytes))
    }
}

/// Sums by cause.
#[derive(Debug)]
pub(super) struct Causes {
    probes: [CauseTotal; PROBES],
    unseen: CauseTotal,
    lost: CauseTotal,
}

impl Default for Causes {
    fn default() -> Self {
        let named = |cause| CauseTotal { cause, ..CauseTotal::default() };
        Self {
            probes: Probe::ALL.map(|probe| named(probe.name())),
            unseen: named("unseen"),
            lost: named("lost"),
        }
    }
}

impl Causes {
    pub(super) fn event(&mut self, event: &Event) {
        let total = &mut self.probes[event.probe.index()];
        let duration = event.duration.unwrap_or(0);
        total.events += 1;
        total.time = total.time.saturating_add(duration);
        total.longest = total.longest.max(duration);
    }

    pub(super) fn transaction(&mut self, transaction: &Transaction) {
        let total = match &transaction.cause {
            Cause::Operation(event) => &mut self.probes[event.probe.index()],
            Cause::Unseen => &mut self.unseen,
            Cause::Lost(_) => &mut self.lost,
        };
        for (&(before, after), &bytes) in &transaction.changes {
            total.changed = total.changed.saturating_add(bytes);
            let sum = total.changes.entry(history::change(before, after)).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    /// What the kernel side has counted until now.
    pub(super) fn sample(&mut self, sample: &Sample) {
        for (total, counters) in self.probes.iter_mut().zip(&sample.counters) {
            let others = counters.filtered.saturating_add(counters.ignored);
            total.operations = counters.seen.saturating_sub(others);
            total.lost = counters.lost_ring.saturating_add(counters.lost_state);
        }
    }

    /// Those that did anything: by bytes, then by events.
    pub(super) fn finish(self) -> Vec<CauseTotal> {
        let all = self.probes.into_iter().chain([self.unseen, self.lost]);
        let mut all: Vec<_> =
            all.filter(|one| one.events > 0 || one.operations > 0 || one.changed > 0).collect();
        all.sort_by_key(|one| std::cmp::Reverse((one.changed, one.events, one.operations)));
        all
    }
}
