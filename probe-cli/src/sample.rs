//! What the kernel side has counted at one moment.

use probe_common::{
    counters::Counters,
    probe::{PROBES, Probe},
};

/// The kernel side's numbers at one moment. All of them only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was read, in ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// One row for each process that something happened to.
    pub processes: Vec<ProcessSample>,
    /// What became of the operations that each probe saw, by probe number.
    pub counters: [Counters; PROBES],
    /// Calls that the kernel did not show, of whatever process and over all probes: a thread had been preempted in the
    /// same program on that CPU. Where its beginning was not shown, an operation is not seen at all; where its end was
    /// not shown, it is seen and has no fate.
    pub missed: u64,
    /// Operations that found no room in the statistics by process.
    pub left_out: u64,
}

/// One process in a [`Sample`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSample {
    /// Thread group; 0 stands for operations whose process the kernel does not tell.
    pub pid: u32,
    /// Its name, escaped; empty when nobody knows it.
    pub comm: String,
    /// Operations, by probe number.
    pub calls: [u64; PROBES],
    /// Time spent in them in ns, by probe number.
    pub ns: [u64; PROBES],
}

// Arrays of more than 32 have no `Default`.
impl Default for Sample {
    fn default() -> Self {
        Self {
            time: 0,
            processes: Vec::new(),
            counters: [Counters::default(); PROBES],
            missed: 0,
            left_out: 0,
        }
    }
}

impl Default for ProcessSample {
    fn default() -> Self {
        Self { pid: 0, comm: String::new(), calls: [0; PROBES], ns: [0; PROBES] }
    }
}

impl Sample {
    /// Operations that were lost, over all probes, those that the kernel did not show included.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lost = |counters: &Counters| counters.lost_ring + counters.lost_state;
        self.counters.iter().map(lost).sum::<u64>() + self.missed
    }

    /// Operations seen, over all probes, those that were filtered out not counted.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.counters.iter().map(|counters| counters.seen - counters.filtered).sum()
    }

    /// The counters of one probe.
    #[must_use]
    pub fn counters(&self, probe: Probe) -> &Counters {
        &self.counters[probe.index()]
    }
}
