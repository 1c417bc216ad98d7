//! The last line of a trace.

use probe_common::{
    counters::Counters,
    probe::{PROBES, Probe},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The last line. A trace without it was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename = "footer")]
pub struct Footer {
    /// When the probes were detached, in ns.
    pub time: u64,
    /// Why the trace ended.
    pub reason: End,
    /// How the traced command ended, as a shell says it; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_status: Option<i32>,
    /// Event lines in this file.
    pub events: u64,
    /// Records that the kernel side had to drop, over all probes; as all counts but `events`, since the beginning of the first file.
    pub lost: u64,
    /// Calls that the kernel did not show, over all probes and processes: a thread had been preempted in the same program on
    /// that CPU. They are not in `seen`; where only the end was not shown, the operation is in `seen` and has no fate.
    pub missed: u64,
    /// Records that came but could not be understood.
    pub unreadable: u64,
    /// Stacks that the kernel could not take; absent when none were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stacks_lost: Option<u64>,
    /// What became of the operations that each probe saw: `seen` is the sum of `filtered`, `ignored`, `counted`, `emitted`,
    /// `lost_ring` and `lost_state`, exactly.
    pub probes: Vec<Counts>,
}

/// Why a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The time that was asked for was over.
    Duration,
    /// A signal asked for it.
    Signal,
    /// Every process asked for has ended.
    Exit,
    /// It had as many events as were asked for.
    Events,
    /// It was as large as was asked for.
    Size,
    /// It goes on in another file.
    Rotated,
    /// Something that only a later version knows.
    #[serde(other)]
    Later,
}

/// What became of the operations of one probe:
/// `seen = filtered + ignored + counted + emitted + lost_ring + lost_state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// The probe's name.
    pub name: String,
    /// Operations seen.
    pub seen: u64,
    /// Not of a process asked for.
    pub filtered: u64,
    /// Function calls that had nothing to do (a split with nothing to split), and parts of other operations.
    pub ignored: u64,
    /// Only counted, because nobody asked for events of this kind.
    pub counted: u64,
    /// Sent as records.
    pub emitted: u64,
    /// No room in the ring buffer; a larger `--ring-size` helps.
    pub lost_ring: u64,
    /// Too many at once to remember.
    pub lost_state: u64,
    /// Calls that the kernel did not show.
    pub missed: u64,
}

impl Counts {
    /// Of one probe.
    #[must_use]
    pub fn of(probe: Probe, counters: &Counters, missed: u64) -> Self {
        Self {
            name: probe.name().to_owned(),
            seen: counters.seen,
            filtered: counters.filtered,
            ignored: counters.ignored,
            counted: counters.counted,
            emitted: counters.emitted,
            lost_ring: counters.lost_ring,
            lost_state: counters.lost_state,
            missed,
        }
    }

    /// The counts of all probes.
    #[must_use]
    pub fn all(counters: &[Counters; PROBES], missed: &[u64; PROBES]) -> Vec<Self> {
        let numbers = counters.iter().zip(missed);
        let probes = Probe::ALL.into_iter().zip(numbers);
        probes.map(|(probe, (counters, &missed))| Self::of(probe, counters, missed)).collect()
    }
}
