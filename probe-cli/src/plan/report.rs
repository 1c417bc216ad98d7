//! What came of a plan: which candidate of each logical probe is attached, and why not another one.

use probe_common::probe::{PROBES, Probe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Candidate, Plan, Reason};
use crate::{event::probe_name, kernel::facts::Mechanism};

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How much of it works.
    pub mode: Mode,
    /// One outcome for each logical probe that was wanted, by number.
    pub probes: Vec<Outcome>,
}

/// How much works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every probe is attached to its function.
    Full,
    /// Some are not, or tell less by a tracepoint.
    Reduced,
    /// None is attached.
    Nothing,
}

/// What came of one logical probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Which.
    #[serde(with = "probe_name")]
    pub probe: Probe,
    /// What people lose without it.
    pub feature: &'static str,
    /// Which of the candidates is attached.
    pub attached: Option<usize>,
    /// The candidates, the best first, each with the reason why it was not used.
    pub candidates: Vec<Candidate>,
}

impl Outcome {
    /// The attached candidate.
    #[must_use]
    pub fn chosen(&self) -> Option<&Candidate> {
        self.candidates.get(self.attached?)
    }

    /// Why the probe is not attached: the reason that comes nearest to success, because "not in
    /// this kernel" for one name says little when another name was refused.
    #[must_use]
    pub fn why_not(&self) -> Option<(&Candidate, &Reason)> {
        if self.attached.is_some() { None } else { nearest(&self.candidates) }
    }
}

/// Of the candidates that cannot be used, the one that comes nearest to success, and its reason.
pub(super) fn nearest(candidates: &[Candidate]) -> Option<(&Candidate, &Reason)> {
    candidates
        .iter()
        .filter_map(|candidate| Some((candidate, candidate.rejected.as_ref()?)))
        .min_by_key(|(_, reason)| distance(reason))
}

/// How far from success a candidate with this reason was.
fn distance(reason: &Reason) -> u8 {
    match reason {
        Reason::AttachFailed { .. } => 0,
        Reason::LoadFailed { .. } => 1,
        Reason::Refused { .. } => 2,
        Reason::NoMember { .. }
        | Reason::NoArgument { .. }
        | Reason::NotInRegister { .. }
        | Reason::NoResult
        | Reason::OtherTracepoint
        | Reason::NotTraceable
        | Reason::Bypassed
        | Reason::Ambiguous { .. } => 3,
        Reason::NoPrototype => 4,
        Reason::NoTracepoint => 6,
        Reason::NoFunction => 5,
        Reason::NoBtf { .. } => 7,
    }
}

impl Report {
    /// Puts together what the plan said and what loading gave.
    #[must_use]
    pub fn new(plan: Plan, attached: [Option<usize>; PROBES]) -> Self {
        let probes: Vec<_> = plan
            .rows
            .into_iter()
            .map(|row| Outcome {
                probe: row.probe,
                feature: row.feature,
                attached: attached[row.probe.index()],
                candidates: row.candidates,
            })
            .collect();
        let by_function = |outcome: &Outcome| {
            outcome.chosen().is_some_and(|chosen| chosen.mechanism != Mechanism::Tracepoint)
        };
        let mode = if probes.iter().all(by_function) {
            Mode::Full
        } else if probes.iter().any(|outcome| outcome.attached.is_some()) {
            Mode::Reduced
        } else {
            Mode::Nothing
        };
        Self { mode, probes }
    }

    /// How many probes are attached.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.probes.iter().filter(|outcome| outcome.attached.is_some()).count()
    }

    /// What came of one probe.
    #[must_use]
    pub fn outcome(&self, probe: Probe) -> Option<&Outcome> {
        self.probes.iter().find(|outcome| outcome.probe == probe)
    }

    /// Whether the operations that change leaves are events here.
    #[must_use]
    pub fn tells_of_changes(&self) -> bool {
        tells_of_changes(|probe| {
            let chosen = self.outcome(probe).and_then(Outcome::chosen);
            chosen.is_some_and(|chosen| chosen.mechanism != Mechanism::Tracepoint)
        })
    }
}

/// Whether the operations that change leaves are events, from which probes are attached to functions: without
/// them a map would be wrong for long.
pub fn tells_of_changes(is_by_function: impl Fn(Probe) -> bool) -> bool {
    [Probe::MmFault, Probe::Zap, Probe::VmaMap].into_iter().all(is_by_function)
}
