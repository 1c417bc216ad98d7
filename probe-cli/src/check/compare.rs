//! The comparison: what differs, by the rules, and what cannot be told.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    finding::{Finding, Kind, Place, Verdict, path_name},
    identity::{Identity, differences, is_same_work},
    material::{Material, Measured},
    ratio::{Interval, LEAST, ratio},
    rules::{Limit, Rules},
};
use crate::{
    bench::results::{Clock, Counts, LeafBytes, Results, Service},
    event::Path,
    units,
    walk::totals::Uncounted,
};

/// Results with a name, for people.
#[derive(Clone, Debug)]
pub struct Named {
    /// The file, or what was measured instead.
    pub name: String,
    /// The results.
    pub results: Results,
}

/// One comparison with the baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What was compared with the baseline.
    pub after: Identity,
    /// What follows.
    pub verdict: Verdict,
    /// Why it is inconclusive, apart from findings.
    pub reasons: Vec<String>,
    /// What was found: the worst first.
    pub findings: Vec<Finding>,
    /// Every time that was compared.
    pub times: Vec<Timed>,
    /// How many places had their counts compared.
    pub counted: usize,
    /// How many of the times spread so much that a change of twice the threshold need not have been found.
    pub blurred: usize,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// Times at a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// Where.
    pub place: Place,
    /// The mean of the runs before, in ns of a sample.
    pub before: f64,
    /// The same after.
    pub after: f64,
    /// After by before; absent where it cannot be told.
    pub interval: Option<Interval>,
    /// By how much it may be slower, as a part of 1.
    pub threshold: f64,
}

/// Why two results cannot be compared at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one file has times, the other has instructions: measure both in the same mode")]
pub struct MixedClocks;

/// What instructions cannot show.
pub const INSTRUCTIONS: &str = "times are instructions of an emulated processor: what caches, the TLB, memory, branch prediction and \
                                contention cost does not show";

/// Compares results with a baseline.
///
/// # Errors
/// When their times are different things.
pub fn compare(before: &Named, after: &Named, rules: &Rules) -> Result<Comparison, MixedClocks> {
    if before.results.clock != after.results.clock {
        return Err(MixedClocks);
    }
    let mut comparing = Comparing {
        before: &before.results,
        after: &after.results,
        rules,
        files: format!("{} {}", before.name, after.name),
        findings: Vec::new(),
        reasons: differences(&before.results, &after.results),
        notes: Vec::new(),
        same_work: is_same_work(&before.results, &after.results),
    };
    comparing.losses();
    comparing.services();
    comparing.leaves();
    let sides = (Material::of(&before.results), Material::of(&after.results));
    comparing.driven(&sides.0, &sides.1);
    let counted = comparing.counts(&sides.0, &sides.1);
    let (times, blurred) = comparing.times(&sides.0, &sides.1);
    comparing.limits(&sides.1);
    comparing.what_was_accepted();
    let Comparing { mut findings, reasons, mut notes, .. } = comparing;
    if after.results.clock == Clock::Instructions {
        notes.push(INSTRUCTIONS.to_owned());
    }
    if before.results.walkprobe != after.results.walkprobe {
        notes.push(format!(
            "walkprobe {} measured the baseline, {} what is compared with it: its own part of the times may differ",
            before.results.walkprobe, after.results.walkprobe
        ));
    }
    findings.sort_by(|a, b| (b.verdict, a.kind, &a.id).cmp(&(a.verdict, b.kind, &b.id)));
    let worst = findings.iter().map(|finding| finding.verdict).max();
    let verdict = match worst {
        Some(Verdict::Regression) => Verdict::Regression,
        Some(Verdict::Inconclusive) => Verdict::Inconclusive,
        _ if !reasons.is_empty() => Verdict::Inconclusive,
        _ => Verdict::Pass,
    };
    let after = Identity::of(&after.name, &after.results);
    Ok(Comparison { after, verdict, reasons, findings, times, counted, blurred, notes })
}

struct Comparing<'a> {
    before: &'a Results,
    after: &'a Results,
    rules: &'a Rules,
    /// For commands.
    files: String,
    findings: Vec<Finding>,
    reasons: Vec<String>,
    notes: Vec<String>,
    /// Calls that were lost, or that another amount of work makes, are no difference of the kernel.
    same_work: bool,
}

impl Comparing<'_> {
    /// Adds a finding, unless the rules accept it.
    fn find(&mut self, mut finding: Finding) {
        let ratio = finding.interval.map(|interval| interval.ratio);
        if finding.verdict == Verdict::Regression {
            let release = &self.after.kernel.release;
            if let Some(known) = self.rules.accepts(&finding.id, release, ratio) {
                finding.verdict = Verdict::Accepted;
                finding.rule.clone_from(&known.reason);
            }
        }
        self.findings.push(finding);
    }

    /// A difference that no chance makes; what is new was not there to be compared.
    fn exact(
        &mut self,
        kind: Kind,
        of: &str,
        place: Option<&Place>,
        (before, after): (String, String),
        is_new: bool,
    ) {
        let id = format!("{}:{of}", kind.name());
        let reproduce = self.explain(&id);
        let can_be_told = kind == Kind::Service || self.same_work;
        let verdict = if !can_be_told {
            Verdict::Inconclusive
        } else if is_new {
            Verdict::Improvement
        } else {
            Verdict::Regression
        };
        self.find(Finding {
            id,
            kind,
            verdict,
            place: place.cloned(),
            before,
            after,
            interval: None,
            rule: "exact".to_owned(),
            reproduce,
        });
    }

    fn explain(&self, id: &str) -> String {
        format!("walkprobe check explain '{id}' {}", self.files)
    }

    fn losses(&mut self) {
        for (results, which) in [(self.before, "the baseline"), (self.after, "the other")] {
            let lost = |of: fn(&Uncounted) -> u64| {
                results.runs.iter().map(|run| of(&run.uncounted)).fold(0, u64::saturating_add)
            };
            let (state, missed) = (lost(|lost| lost.state), lost(|lost| lost.missed));
            if state > 0 || missed > 0 {
                self.same_work = false;
                self.reasons.push(format!(
                    "{which} lacks calls: there was no room for {state}, the kernel did not show {missed}"
                ));
            }
            if results.runs.len() < LEAST {
                self.reasons.push(format!(
                    "times want {LEAST} runs or more, and {which} has {}: bench --runs",
                    results.runs.len()
                ));
            }
        }
    }

    fn services(&mut self) {
        let of = |results: &Results, walker: &str| -> Option<Service> {
            results.services.iter().find(|service| service.walker == walker).cloned()
        };
        let sides = [self.before, self.after];
        let walkers: BTreeSet<String> = sides
            .iter()
            .flat_map(|results| results.services.iter().map(|service| service.walker.clone()))
            .collect();
        for walker in walkers {
            let sides = sides.map(|results| of(results, &walker));
            for path in [Path::Generic, Path::Hugetlb] {
                let [before, after] = sides.each_ref().map(|side| told(side.as_ref(), path));
                if before != after {
                    let of = format!("{walker}/{}", path_name(Some(path)));
                    let is_new = ["missing", NOT_COUNTED].contains(&before.as_str());
                    self.exact(Kind::Service, &of, None, (before, after), is_new);
                }
            }
        }
    }

    fn driven(&mut self, before: &Material, after: &Material) {
        let skipped = [&before.skipped, &after.skipped];
        let cases: BTreeSet<_> = skipped.iter().flat_map(|side| side.keys().cloned()).collect();
        for case in cases {
            let [before, after] = skipped.each_ref().map(|side| side.get(&case));
            if before.is_some() != after.is_some() {
                let say = |reason: Option<&String>| {
                    reason.map_or_else(|| "driven".to_owned(), |why| format!("not driven: {why}"))
                };
                let of = format!("{}/{}", case.0, case.1);
                let is_new = after.is_none();
                self.exact(Kind::Driven, &of, None, (say(before), say(after)), is_new);
            }
        }
    }

    fn leaves(&mut self) {
        let sides = [self.before, self.after].map(maps);
        let spaces: BTreeSet<_> = sides.iter().flat_map(|side| side.keys().cloned()).collect();
        for space in spaces {
            let [before, after] = sides.each_ref().map(|side| side.get(&space).cloned());
            match (before, after) {
                (Some(before), Some(after)) if before != after => {
                    self.exact(Kind::Leaves, &space, None, (before, after), false);
                }
                (Some(_), Some(_)) => {}
                _ => self.notes.push(format!("what maps {space} is known on one side only")),
            }
        }
    }

    /// How many were compared.
    fn counts(&mut self, before: &Material, after: &Material) -> usize {
        let places: BTreeSet<&Place> = before.places.keys().chain(after.places.keys()).collect();
        let mut compared = 0;
        for place in places {
            // Where a walker is driven on one side only, that is a finding of its own.
            let case = (place.space.clone(), place.driven.clone());
            if before.skipped.contains_key(&case) || after.skipped.contains_key(&case) {
                continue;
            }
            let sides = [before, after].map(|side| match side.places.get(place) {
                Some(measured) => measured.counts,
                None => Some(Counts::default()),
            });
            let [Some(was), Some(is)] = sides else {
                self.notes
                    .push(format!("{place}: counts are not the same in all samples: not compared"));
                continue;
            };
            compared += 1;
            if was != is {
                let told = (say(was), say(is));
                self.exact(Kind::Counts, &place.to_string(), Some(place), told, false);
            }
        }
        compared
    }

    /// All times that both sides have, and how many of them are blurred.
    fn times(&mut self, before: &Material, after: &Material) -> (Vec<Timed>, usize) {
        let both: Vec<(&Place, &Measured, &Measured)> = before
            .places
            .iter()
            .filter_map(|(place, was)| Some((place, was, after.places.get(place)?)))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a number of places")]
        // Bonferroni: however many places there are, all together find something by chance this often.
        let error = self.rules.false_alarms / 100.0 / both.len().max(1) as f64;
        let clock = self.after.clock;
        let (mut times, mut blurred) = (Vec::new(), 0);
        for (place, was, is) in both {
            let threshold = self.rules.threshold(&place.walker, clock);
            let interval = ratio(&was.times, &is.times, error);
            if let Some(found) = interval {
                blurred += usize::from(found.high / found.ratio > 1.0 + threshold);
                self.time(place, (was, is), found, threshold);
            }
            times.push(Timed {
                place: place.clone(),
                before: mean(&was.times),
                after: mean(&is.times),
                interval,
                threshold,
            });
        }
        (times, blurred)
    }

    fn time(
        &mut self,
        place: &Place,
        (was, is): (&Measured, &Measured),
        found: Interval,
        threshold: f64,
    ) {
        let verdict = if found.low > 1.0 + threshold {
            if self.reasons.is_empty() { Verdict::Regression } else { Verdict::Inconclusive }
        } else if found.high < 1.0 - threshold {
            Verdict::Improvement
        } else {
            return;
        };
        let id = format!("{}:{place}", Kind::Time.name());
        let reproduce = self.explain(&id);
        let say = |times: &[f64]| time(mean(times), self.after.clock);
        let (before, after) = (say(&was.times), say(&is.times));
        self.find(Finding {
            id,
            kind: Kind::Time,
            verdict,
            place: Some(place.clone()),
            before,
            after,
            interval: Some(found),
            rule: format!("threshold {} %", threshold * 100.0),
            reproduce,
        });
    }

    fn limits(&mut self, after: &Material) {
        let mut used = vec![false; self.rules.limit.len()];
        let rules = self.rules;
        for (place, measured) in &after.places {
            for (limit, used) in rules.limit.iter().zip(&mut used) {
                if limit.concerns(place) {
                    *used = true;
                    self.limit(limit, place, measured);
                }
            }
        }
        for (limit, _) in rules.limit.iter().zip(&used).filter(|(_, used)| !**used) {
            self.reasons.push(format!(
                "a limit of {} concerns nothing that was measured: is it spelt right?",
                limit.walker
            ));
        }
    }

    fn limit(&mut self, limit: &Limit, place: &Place, measured: &Measured) {
        let counts = measured.counts.unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "numbers of calls and leaves")]
        let (calls, leaves) = (counts.calls as f64, counts.leaves as f64);
        let ns = mean(&measured.times);
        #[expect(clippy::cast_precision_loss, reason = "a limit")]
        let whole = |number: Option<u64>| number.map(|number| number as f64);
        let all = [
            ("max_calls", whole(limit.max_calls), Some(calls)),
            ("max_leaves", whole(limit.max_leaves), Some(leaves)),
            ("max_ns_per_call", limit.max_ns_per_call, (calls > 0.0).then(|| ns / calls)),
            ("max_ns_per_leaf", limit.max_ns_per_leaf, (leaves > 0.0).then(|| ns / leaves)),
        ];
        for (name, most, found) in all {
            let Some(most) = most else { continue };
            let id = format!("{}:{place}:{name}", Kind::Limit.name());
            let Some(found) = found.filter(|_| measured.counts.is_some()) else {
                self.reasons
                    .push(format!("{id}: counts are not the same in all samples, or are none"));
                continue;
            };
            if found > most {
                let reproduce = self.explain(&format!("{}:{place}", Kind::Time.name()));
                self.find(Finding {
                    id,
                    kind: Kind::Limit,
                    verdict: Verdict::Regression,
                    place: Some(place.clone()),
                    before: format!("at most {most}"),
                    after: format!("{found:.1}"),
                    interval: None,
                    rule: name.to_owned(),
                    reproduce,
                });
            }
        }
    }

    /// What is accepted and not there is said: it may go from the rules.
    fn what_was_accepted(&mut self) {
        for accepted in &self.rules.accepted {
            if !self.findings.iter().any(|finding| finding.id == accepted.finding) {
                self.notes.push(format!(
                    "{} is accepted, and was not found: the rule can go",
                    accepted.finding
                ));
            }
        }
    }
}

/// Of a walker that the suite does not count.
const NOT_COUNTED: &str = "not counted";

/// How a path is served, in words.
fn told(service: Option<&Service>, path: Path) -> String {
    let Some(service) = service else { return NOT_COUNTED.to_owned() };
    let served = match path {
        Path::Generic => &service.generic,
        Path::Hugetlb => &service.hugetlb,
    };
    if served.functions.is_empty() {
        return served.service.clone();
    }
    format!("{} ({})", served.service, served.functions.join(", "))
}

/// The leaf map of each space, where it is known and the same in all runs, in words.
fn maps(results: &Results) -> BTreeMap<String, String> {
    let mut maps: BTreeMap<String, Option<String>> = BTreeMap::new();
    for leaves in results.runs.iter().flat_map(|run| &run.leaves) {
        let found = leaves.unknown.is_none().then(|| in_words(&leaves.bytes));
        let known = maps.entry(leaves.space.clone()).or_insert_with(|| found.clone());
        if *known != found {
            *known = None;
        }
    }
    maps.into_iter().filter_map(|(space, map)| Some((space, map?))).collect()
}

fn in_words(bytes: &[LeafBytes]) -> String {
    let mut parts: Vec<String> = bytes
        .iter()
        .map(|leaves| {
            format!(
                "{} of {} {}",
                units::bytes(leaves.bytes),
                units::bytes(leaves.size.bytes()),
                leaves.kind.name()
            )
        })
        .collect();
    parts.sort_unstable();
    parts.join(", ")
}

fn say(counts: Counts) -> String {
    if counts.calls == 0 {
        return "no calls".to_owned();
    }
    let mut text = format!("calls {}, leaves {}", counts.calls, counts.leaves);
    if counts.bytes > 0 {
        text.push_str(", ");
        text.push_str(&units::bytes(counts.bytes));
    }
    text
}

/// A time of a sample, with its unit.
pub(super) fn time(ns: f64, clock: Clock) -> String {
    match clock {
        Clock::Time => format!("{ns:.0} ns"),
        Clock::Instructions => format!("{ns:.0} instructions"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of runs")]
pub(super) fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len().max(1) as f64
}

#[cfg(test)]
#[path = "compare_tests.rs"]
pub(crate) mod tests;
