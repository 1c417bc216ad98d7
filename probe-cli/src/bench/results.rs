//! The file that a run of a suite leaves.

use serde::{Deserialize, Serialize};

use crate::{
    event::Path,
    model::leaf::{LeafKind, LeafSize},
    walk::{
        site::Level,
        totals::{Calibration, Totals, Uncounted},
    },
};

/// The version of this format.
pub const VERSION: u32 = 2;

/// What a run measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The version of the format of this file.
    pub bench: u32,
    /// The version of walkprobe that measured.
    pub walkprobe: String,
    /// The suite.
    pub suite: String,
    /// How much of it.
    pub settings: Settings,
    /// What the times are.
    pub clock: Clock,
    /// The kernel.
    pub kernel: Kernel,
    /// The machine.
    pub machine: Machine,
    /// Which functions serve the walkers here.
    pub services: Vec<Service>,
    /// The suite, so often: each time by a new process, or in a new boot.
    pub runs: Vec<Run>,
}

/// The suite, gone through once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What the programs that count take of each call, in ns; it is in all times.
    pub calibration: Calibration,
    /// Calls that are in no count.
    pub uncounted: Uncounted,
    /// Each walker over each space.
    pub cases: Vec<Case>,
    /// What maps each space when all walkers have been over it.
    pub leaves: Vec<Leaves>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How often a walker goes over the space in one sample.
    pub rounds: u64,
    /// Samples of each case.
    pub samples: u32,
    /// Samples before those, which are not kept.
    pub warm_up: u32,
    /// How large a space is, in pieces of 2 MiB; of 1 GiB pages there is one.
    pub blocks: u16,
}

/// What a nanosecond is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// One of time.
    Time,
    /// An instruction of an emulated processor: caches, TLB, memory and contention do not show.
    Instructions,
}

/// Which kernel was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// As `uname -r` has it.
    pub release: String,
    /// As `uname -v` has it.
    pub version: String,
    /// As `uname -m` has it.
    pub machine: String,
}

/// On what it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The model of its processors, as the kernel names it, escaped.
    pub processor: String,
    /// How many of them are online.
    pub processors: u32,
    /// Memory in bytes, without what the kernel has kept for itself.
    pub memory: u64,
}

/// Which functions serve a walker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The walker.
    pub walker: String,
    /// Those of the generic path: `watched`, `untold`, `unified`, `skipped` or `missing`, and which.
    pub generic: Served,
    /// Those of the hugetlb path.
    pub hugetlb: Served,
}

/// How a path is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// `watched`, `untold`, `unified`, `skipped` or `missing`.
    pub service: String,
    /// The functions that are attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
}

/// A walker, driven over a space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The space; `none` for what a walker that goes over the whole process finds without one.
    pub space: String,
    /// The walker.
    pub walker: String,
    /// Why it was not driven; absent when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The time of all rounds of each sample, in ns, with all that is around the walker: system calls, and what counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loops: Vec<u64>,
    /// The calls of the walkers' functions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
}

/// Calls of a walker's functions, on one path and level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The walker: also one that the driven walker brings with it.
    pub walker: String,
    /// The path; absent where the function does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// The level of the leaves.
    pub level: Level,
    /// What the programs that count take of each of these calls, in ns; 0 where that is not known.
    pub own: f64,
    /// As many as the case has samples.
    pub samples: Vec<Counts>,
    /// All calls of all samples by duration: the middle of a bucket in ns, and how many.
    pub durations: Vec<(f64, u64)>,
}

/// What a sample came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Calls.
    pub calls: u64,
    /// Entries of page tables that they were given; 0 where that is not told.
    pub leaves: u64,
    /// Bytes that they were given; 0 where that is not told.
    pub bytes: u64,
    /// Time in them, in ns, with what counts them.
    pub ns: u64,
}

/// What maps a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaves {
    /// The space.
    pub space: String,
    /// Why that is not known; absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Bytes by leaf size and kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bytes: Vec<LeafBytes>,
}

/// Bytes of leaves that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafBytes {
    /// What one leaf maps, in bytes; a hole counts in base pages.
    pub size: LeafSize,
    /// What they hold.
    pub kind: LeafKind,
    /// All of them together.
    pub bytes: u64,
}

impl Counts {
    /// Of a walker's totals.
    #[must_use]
    pub fn of(totals: &Totals) -> Self {
        let &Totals { calls, entries: leaves, bytes, ns, .. } = totals;
        Self { calls, leaves, bytes, ns }
    }
}

impl Row {
    /// The counts without their time, where all samples have the same ones.
    #[must_use]
    pub fn counts(&self) -> Option<Counts> {
        let mut all = self.samples.iter().map(|sample| Counts { ns: 0, ..*sample });
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }
}
