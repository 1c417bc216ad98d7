//! The lines of a trace, apart from the events.

use probe_common::probe::PROBES;
use serde::{Deserialize, Serialize};

use crate::{
    kernel::facts::Facts,
    plan::report::{Mode, Outcome, Report},
};

/// The version of the format. It grows when a reader of the version before would misunderstand a
/// line; new fields and kinds alone do not count.
pub const FORMAT: u32 = 1;

/// The first line: where and how the trace was made.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename = "header")]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Name and version of the tool.
    pub tool: String,
    /// The kernel's release.
    pub kernel: String,
    /// The machine's architecture.
    pub machine: String,
    /// The command line, each argument escaped.
    pub command: Vec<String>,
    /// The processes asked for.
    pub pids: Vec<u32>,
    /// The clock of all times.
    pub clock: Clock,
    /// How much of the probes is attached.
    pub mode: Mode,
    /// The state of each probe.
    pub probes: Vec<ProbeState>,
}

/// The clock of a trace.
#[derive(Clone, Debug, Serialize)]
pub struct Clock {
    /// The clock's name in `clock_gettime`.
    pub name: &'static str,
    /// Time of the header, in ns.
    pub start: u64,
    /// Add it to get ns since 1970-01-01 UTC, as it was at the start.
    pub realtime_offset: i64,
}

/// The state of one probe.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeState {
    /// The probe's name.
    pub name: &'static str,
    /// fentry, kprobe or tracepoint; absent when it is not attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
    /// The kernel's functions or tracepoints that it is attached to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<&'static str>,
    /// What it cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<&'static str>,
    /// Why it is not attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// What came to the writer's notice between events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// Events were lost, of whatever process.
    Lost {
        /// When that was noticed, in ns.
        time: u64,
        /// How many since the last time.
        number: u64,
    },
    /// A process has ended.
    Gone {
        /// When that was noticed, in ns.
        time: u64,
        /// The process.
        pid: u32,
    },
}

/// The last line. A trace without it was cut.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename = "footer")]
pub struct Footer {
    /// When the probes were detached, in ns.
    pub time: u64,
    /// Why the trace ended.
    pub reason: End,
    /// How the traced command ended; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_status: Option<i32>,
    /// Event lines in this trace.
    pub events: u64,
    /// Records that the kernel side had to drop, over all probes.
    pub lost: u64,
    /// Calls that the kernel did not show, over all probes and processes.
    pub missed: u64,
    /// Records that came but could not be understood.
    pub unreadable: u64,
    /// Stacks that the kernel could not take; absent when none were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stacks_lost: Option<u64>,
    /// What became of the operations that each probe saw.
    pub probes: Vec<Counts>,
}

/// Why a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The time that was asked for was over.
    Duration,
    /// A signal asked for it.
    Signal,
    /// Every process asked for has ended.
    Exit,
}

/// What became of the operations of one probe:
/// `seen = filtered + ignored + emitted + lost_ring + lost_state`.
#[derive(Clone, Debug, Serialize)]
pub struct Counts {
    /// The probe's name.
    pub name: &'static str,
    /// Operations seen.
    pub seen: u64,
    /// Not of a process asked for.
    pub filtered: u64,
    /// Function calls that had nothing to do.
    pub ignored: u64,
    /// Sent as records.
    pub emitted: u64,
    /// No room in the ring buffer.
    pub lost_ring: u64,
    /// Too many at once to remember.
    pub lost_state: u64,
    /// Calls that the kernel did not show: they are not in `seen`, or, where the end was not shown, without a fate.
    pub missed: u64,
}

impl Header {
    /// The header of a trace that begins now.
    #[must_use]
    pub fn new(facts: &Facts, report: &Report, command: Vec<String>, pids: Vec<u32>) -> Self {
        Self {
            format: FORMAT,
            tool: concat!("walkprobe ", env!("CARGO_PKG_VERSION")).to_owned(),
            kernel: facts.release.clone(),
            machine: facts.machine.clone(),
            command,
            pids,
            clock: Clock {
                name: "CLOCK_MONOTONIC",
                start: crate::clock::monotonic(),
                realtime_offset: crate::clock::realtime_offset(),
            },
            mode: report.mode,
            probes: report.probes.iter().map(ProbeState::of).collect(),
        }
    }
}

impl ProbeState {
    fn of(outcome: &Outcome) -> Self {
        let chosen = outcome.chosen();
        Self {
            name: outcome.probe.name(),
            by: chosen.map(|candidate| candidate.mechanism.name()),
            at: chosen.map(|candidate| candidate.targets.clone()).unwrap_or_default(),
            limits: chosen.and_then(|candidate| candidate.limits),
            why_not: outcome
                .why_not()
                .map(|(candidate, reason)| format!("{}: {reason}", candidate.targets.join(", "))),
        }
    }
}

impl Counts {
    /// The counts of all probes.
    #[must_use]
    pub fn all(
        counters: &[probe_common::counters::Counters; PROBES],
        missed: &[u64; PROBES],
    ) -> Vec<Self> {
        probe_common::probe::Probe::ALL
            .into_iter()
            .zip(counters.iter().zip(missed))
            .map(|(probe, (counters, missed))| Self {
                name: probe.name(),
                seen: counters.seen,
                filtered: counters.filtered,
                ignored: counters.ignored,
                emitted: counters.emitted,
                lost_ring: counters.lost_ring,
                lost_state: counters.lost_state,
                missed: *missed,
            })
            .collect()
    }
}
