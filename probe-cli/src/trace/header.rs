//! The first line of a trace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::FORMAT;
use crate::{
    kernel::facts::Facts,
    plan::report::{Mode, Outcome, Report},
};

/// The first line: where and how the trace was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename = "header")]
pub struct Header {
    /// The version of the format.
    pub format: u32,
    /// Name and version of the tool.
    pub tool: String,
    /// The kernel's release (`uname -r`).
    pub kernel: String,
    /// The machine's architecture (`uname -m`).
    pub machine: String,
    /// The command line, each argument escaped.
    pub command: Vec<String>,
    /// The processes asked for that were there when this file began.
    pub pids: Vec<u32>,
    /// The clock of all times.
    pub clock: Clock,
    /// How much of the probes is attached.
    pub mode: Mode,
    /// The state of each probe.
    pub probes: Vec<ProbeState>,
}

/// The clock of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// The clock's name in `clock_gettime`.
    pub name: String,
    /// Time of the header, in ns.
    pub start: u64,
    /// Add it to a time to get ns since 1970-01-01 UTC, as it was at the start.
    pub realtime_offset: i64,
}

/// The state of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeState {
    /// The probe's name.
    pub name: String,
    /// fentry, kprobe or tracepoint; absent when it is not attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The kernel's functions or tracepoints that it is attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// What it cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<String>,
    /// Why it is not attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
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
            clock: Clock::now(),
            mode: report.mode,
            probes: report.probes.iter().map(ProbeState::of).collect(),
        }
    }

    /// Makes it the header of a file that goes on with the trace now.
    pub fn begin_anew(&mut self, pids: Vec<u32>) {
        self.pids = pids;
        self.clock = Clock::now();
    }

    /// Every text in it that other processes may have chosen.
    pub(super) fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let probes = self.probes.iter_mut().flat_map(|probe| {
            let texts = probe.by.iter_mut().chain(&mut probe.limits).chain(&mut probe.why_not);
            texts.chain(&mut probe.at).chain([&mut probe.name])
        });
        let own = [&mut self.tool, &mut self.kernel, &mut self.machine, &mut self.clock.name];
        own.into_iter().chain(&mut self.command).chain(probes)
    }
}

impl Clock {
    fn now() -> Self {
        Self {
            name: "CLOCK_MONOTONIC".to_owned(),
            start: crate::clock::monotonic(),
            realtime_offset: crate::clock::realtime_offset(),
        }
    }
}

impl ProbeState {
    fn of(outcome: &Outcome) -> Self {
        let chosen = outcome.chosen();
        let at =
            chosen.map(|candidate| candidate.targets.iter().map(|&at| at.to_owned()).collect());
        Self {
            name: outcome.probe.name().to_owned(),
            by: chosen.map(|candidate| candidate.mechanism.name().to_owned()),
            at: at.unwrap_or_default(),
            limits: chosen.and_then(|candidate| candidate.limits).map(str::to_owned),
            why_not: outcome
                .why_not()
                .map(|(candidate, reason)| format!("{}: {reason}", candidate.targets.join(", "))),
        }
    }
}
