//! What the kernel side has counted, from time to time: walks and faults that are no event lines are in it too.

use std::collections::BTreeMap;

use probe_common::{
    counters::Counters,
    probe::{PROBES, Probe},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sample::{ProcessSample, Sample};

/// What the kernel side had counted at one moment. All numbers are those since the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename = "summary")]
pub struct Summary {
    /// When it was read, in ns.
    pub time: u64,
    /// One row for each process that something happened to.
    pub processes: Vec<ProcessSummary>,
    /// What became of the operations of each probe, by its name; probes that saw nothing are left out.
    pub probes: BTreeMap<String, Fates>,
    /// Calls that the kernel did not show, over all probes and processes.
    pub missed: u64,
    /// Operations that found no room in the statistics by process.
    pub left_out: u64,
}

/// One process in a summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessSummary {
    /// The process; 0 stands for operations whose process the kernel does not tell.
    pub pid: u32,
    /// Its name, escaped; empty when nobody knows it.
    pub comm: String,
    /// Its operations, by the probe's name; the others are 0.
    pub probes: BTreeMap<String, Calls>,
}

/// The operations of one probe on one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Calls {
    /// How many.
    pub calls: u64,
    /// Time spent in them, in ns.
    pub ns: u64,
}

/// What became of the operations of one probe; see the footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fates {
    /// Operations seen.
    pub seen: u64,
    /// Not of a process asked for.
    pub filtered: u64,
    /// Nothing to do, or a part of another operation.
    pub ignored: u64,
    /// Only counted.
    pub counted: u64,
    /// Sent as records.
    pub emitted: u64,
    /// No room in the ring buffer.
    pub lost_ring: u64,
    /// Too many at once to remember.
    pub lost_state: u64,
    /// Time spent in them, in ns, where there is a single process.
    pub ns: u64,
}

impl From<&Sample> for Summary {
    fn from(sample: &Sample) -> Self {
        let probes = Probe::ALL.into_iter().zip(&sample.counters);
        let probes = probes
            .filter(|(_, counters)| **counters != Counters::default())
            .map(|(probe, counters)| (probe.name().to_owned(), Fates::from(counters)));
        Self {
            time: sample.time,
            processes: sample.processes.iter().map(ProcessSummary::from).collect(),
            probes: probes.collect(),
            missed: sample.missed,
            left_out: sample.left_out,
        }
    }
}

impl From<&ProcessSample> for ProcessSummary {
    fn from(process: &ProcessSample) -> Self {
        let numbers = process.calls.iter().zip(&process.ns);
        let probes = Probe::ALL.into_iter().zip(numbers).filter(|(_, n)| *n != (&0, &0));
        let calls = |(&calls, &ns): (&u64, &u64)| Calls { calls, ns };
        Self {
            pid: process.pid,
            comm: process.comm.clone(),
            probes: probes.map(|(probe, n)| (probe.name().to_owned(), calls(n))).collect(),
        }
    }
}

impl From<&Counters> for Fates {
    fn from(counters: &Counters) -> Self {
        let &Counters { seen, filtered, ignored, counted, emitted, lost_ring, lost_state, ns } =
            counters;
        Self { seen, filtered, ignored, counted, emitted, lost_ring, lost_state, ns }
    }
}

impl From<Summary> for Sample {
    /// Probes that this version does not know are left out.
    fn from(summary: Summary) -> Self {
        let mut counters = [Counters::default(); PROBES];
        for (probe, fates) in known(&summary.probes) {
            let &Fates { seen, filtered, ignored, counted, emitted, lost_ring, lost_state, ns } =
                fates;
            counters[probe.index()] = Counters {
                // What was filtered was seen: rates are differences.
                seen: seen.max(filtered),
                filtered,
                ignored,
                counted,
                emitted,
                lost_ring,
                lost_state,
                ns,
            };
        }
        let processes = summary.processes.into_iter().map(|process| {
            let mut sample = ProcessSample { pid: process.pid, ..ProcessSample::default() };
            for (probe, calls) in known(&process.probes) {
                sample.calls[probe.index()] = calls.calls;
                sample.ns[probe.index()] = calls.ns;
            }
            ProcessSample { comm: process.comm, ..sample }
        });
        Self {
            time: summary.time,
            processes: processes.collect(),
            counters,
            missed: summary.missed,
            left_out: summary.left_out,
        }
    }
}

fn known<T>(by_name: &BTreeMap<String, T>) -> impl Iterator<Item = (Probe, &T)> {
    Probe::ALL.into_iter().filter_map(|probe| Some((probe, by_name.get(probe.name())?)))
}

#[cfg(test)]
mod tests {
    use probe_common::probe::Probe;

    use super::Summary;
    use crate::sample::{ProcessSample, Sample};

    #[test]
    fn a_sample_comes_back_as_it_was() {
        let mut process = ProcessSample { pid: 7, comm: "app".to_owned(), ..Default::default() };
        process.calls[Probe::WalkVma.index()] = 12;
        process.ns[Probe::WalkVma.index()] = 3400;
        let mut sample = Sample {
            time: 9,
            processes: vec![process],
            missed: 1,
            left_out: 2,
            ..Default::default()
        };
        sample.counters[Probe::WalkVma.index()].seen = 12;
        sample.counters[Probe::WalkVma.index()].counted = 12;
        let json = serde_json::to_string(&Summary::from(&sample)).unwrap();
        assert!(json.contains("\"walk_vma\":{\"calls\":12,\"ns\":3400}"), "{json}");
        assert!(!json.contains("mm_fault"), "{json}");
        let again: Summary = serde_json::from_str(&json).unwrap();
        assert_eq!(Sample::from(again), sample);
    }

    #[test]
    fn impossible_sums_and_unknown_probes_do_no_harm() {
        let json = r#"{"kind":"summary","time":1,"processes":[],"missed":0,"left_out":0,
            "probes":{"later":{"seen":1,"filtered":9,"ignored":0,"counted":0,"emitted":0,"lost_ring":0,"lost_state":0,"ns":0},
            "zap":{"seen":1,"filtered":9,"ignored":0,"counted":0,"emitted":0,"lost_ring":0,"lost_state":0,"ns":0}}}"#;
        let sample = Sample::from(serde_json::from_str::<Summary>(json).unwrap());
        assert_eq!(sample.seen(), 0);
    }
}
