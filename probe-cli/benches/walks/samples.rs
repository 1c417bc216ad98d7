//! What was measured, and what follows from it.

use std::time::Duration;

use super::{
    load::{Calls, Done, READS},
    spread::Spread,
    tools::{self, Counted, Tool},
};

/// What was measured in a setting.
#[derive(Default)]
pub(crate) struct Setting {
    /// CPU time of a batch by the calls in it, in ns.
    calls: Vec<f64>,
    /// CPU time of a reading of smaps, in ns.
    reads: Vec<f64>,
    made: Calls,
    /// Of each run: how many calls were made, and what was counted.
    pub(crate) counted: Vec<(Calls, Counted)>,
    attached: Vec<f64>,
    /// The most of all runs, in KiB.
    pub(crate) memory: Option<u64>,
}

/// By the place in [`tools::ALL`].
#[derive(Default)]
pub(crate) struct Samples([Setting; tools::ALL.len()]);

impl Samples {
    /// So many calls were made while it was attached.
    pub(crate) fn made(&mut self, setting: usize, made: Calls) {
        let sum = &mut self.0[setting].made;
        sum.generic += made.generic;
        sum.hugetlb += made.hugetlb;
    }

    /// A batch that is measured.
    #[expect(clippy::cast_precision_loss, reason = "numbers of calls")]
    pub(crate) fn add(&mut self, setting: usize, done: &Done) {
        let ns = done.cpu.as_secs_f64() * 1e9;
        self.0[setting].calls.push(ns / done.made.sum() as f64);
        self.0[setting].reads.push(ns / READS as f64);
    }

    /// A run of a setting has ended.
    pub(crate) fn ended(
        &mut self,
        setting: usize,
        attached: Duration,
        memory: Option<u64>,
        counted: Counted,
    ) {
        let setting = &mut self.0[setting];
        let made = std::mem::take(&mut setting.made);
        setting.counted.push((made, counted));
        setting.attached.push(attached.as_secs_f64());
        setting.memory = setting.memory.max(memory);
    }

    pub(crate) fn of(&self, tool: Tool) -> &Setting {
        &self.0[tool.setting()]
    }

    /// What a reading of smaps takes, in ns.
    pub(crate) fn reads(&self, tool: Tool) -> Spread {
        Spread::of(self.of(tool).reads.clone())
    }

    /// What the tool adds to a call, in ns, batch by batch.
    pub(crate) fn adds(&self, tool: Tool) -> Spread {
        Spread::of(self.added(tool).collect())
    }

    /// The same in percent of what the whole reading takes with nothing attached.
    pub(crate) fn percent(&self, tool: Tool) -> Spread {
        let bare = &self.of(Tool::Nothing).calls;
        Spread::of(self.added(tool).zip(bare).map(|(ns, bare)| ns / bare * 100.0).collect())
    }

    /// How many times as much walkprobe adds.
    pub(crate) fn ratio(&self, to: Tool) -> Spread {
        let both = self.added(Tool::Walkprobe).zip(self.added(to));
        Spread::of(both.map(|(one, other)| one / other).collect())
    }

    /// Seconds from the start until it is attached.
    pub(crate) fn attached(&self, tool: Tool) -> Spread {
        Spread::of(self.of(tool).attached.clone())
    }

    /// Calls that a reading of smaps makes.
    #[expect(clippy::cast_precision_loss, reason = "numbers of calls")]
    pub(crate) fn calls_per_read(&self) -> f64 {
        let batches = self.of(Tool::Nothing).counted.len() * (super::WARM_UP + super::BATCHES);
        let made: u64 = self.of(Tool::Nothing).counted.iter().map(|(made, _)| made.sum()).sum();
        made as f64 / (batches.max(1) as u64 * READS) as f64
    }

    fn added(&self, tool: Tool) -> impl Iterator<Item = f64> {
        let both = self.of(tool).calls.iter().zip(&self.of(Tool::Nothing).calls);
        both.map(|(with, bare)| with - bare)
    }
}
