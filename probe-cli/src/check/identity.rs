//! What was measured, where, and how: what two results must have in common to be compared.

use serde::Serialize;

use crate::{
    bench::results::{Clock, Machine, Results},
    escape::harmless,
};

/// What stands above a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The file, or what was measured instead.
    pub name: String,
    /// The kernel, as `uname -r` has it.
    pub kernel: String,
    /// The suite.
    pub suite: String,
    /// What the times are.
    pub clock: Clock,
    /// How many runs there are.
    pub runs: usize,
    /// The version of walkprobe that measured.
    pub walkprobe: String,
}

impl Identity {
    /// Of these results.
    #[must_use]
    pub fn of(name: &str, results: &Results) -> Self {
        Self {
            name: name.to_owned(),
            kernel: results.kernel.release.clone(),
            suite: results.suite.clone(),
            clock: results.clock,
            runs: results.runs.len(),
            walkprobe: results.walkprobe.clone(),
        }
    }
}

/// Makes texts harmless that come from a file of anybody's.
pub(crate) fn clean(results: &mut Results) {
    let kernel = &mut results.kernel;
    let mut texts = vec![
        &mut results.walkprobe,
        &mut results.suite,
        &mut kernel.release,
        &mut kernel.version,
        &mut kernel.machine,
        &mut results.machine.processor,
    ];
    for service in &mut results.services {
        texts.push(&mut service.walker);
        for served in [&mut service.generic, &mut service.hugetlb] {
            texts.push(&mut served.service);
            texts.extend(&mut served.functions);
        }
    }
    for run in &mut results.runs {
        for case in &mut run.cases {
            texts.extend([&mut case.space, &mut case.walker]);
            texts.extend(&mut case.skipped);
            texts.extend(case.rows.iter_mut().map(|row| &mut row.walker));
        }
        for leaves in &mut run.leaves {
            texts.push(&mut leaves.space);
            texts.extend(&mut leaves.unknown);
        }
    }
    texts.into_iter().for_each(harmless);
}

/// Whether the processors are the same, and the memory nearly: how much of it a kernel keeps for itself is its own affair.
#[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
fn is_alike(one: &Machine, other: &Machine) -> bool {
    let (less, more) = (one.memory.min(other.memory), one.memory.max(other.memory));
    (&one.processor, one.processors) == (&other.processor, other.processors)
        && more as f64 <= less as f64 * 1.02
}

/// Whether both went through the same suite, as often.
#[must_use]
pub(super) fn is_same_work(before: &Results, after: &Results) -> bool {
    before.suite == after.suite && before.settings == after.settings
}

/// Why no verdict can rest on a comparison of these two; the clock is compared by whoever calls.
#[must_use]
pub(super) fn differences(before: &Results, after: &Results) -> Vec<String> {
    let mut reasons = Vec::new();
    if before.suite != after.suite {
        reasons.push(format!("another suite: {} and {}", before.suite, after.suite));
    }
    if before.settings != after.settings {
        let say = |results: &Results| {
            let settings = results.settings;
            format!(
                "--samples {} --rounds {} --warm-up {} --blocks {}",
                settings.samples, settings.rounds, settings.warm_up, settings.blocks
            )
        };
        reasons.push(format!("another amount: {} and {}", say(before), say(after)));
    }
    if !is_alike(&before.machine, &after.machine) {
        let say = |results: &Results| {
            let machine = &results.machine;
            format!(
                "{} x {}, {} bytes of memory",
                machine.processors, machine.processor, machine.memory
            )
        };
        reasons.push(format!("another machine: {} and {}", say(before), say(after)));
    }
    reasons
}
