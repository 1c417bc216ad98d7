//! What the walkers did in a time, for people and for machines.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    compare::{Ratio, Side, ratio},
    registry::Walker,
    site::Level,
    totals::{Calibration, Pair, Sample, Totals, Uncounted},
};
use crate::{
    event::Path,
    plan::walks::{Served, WalkPlan, WalkerPlan},
};

/// What the walkers did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// The time it is about.
    pub seconds: f64,
    /// What the programs take of each call, in ns; it is taken off all times but `ns`.
    pub calibration: Calibration,
    /// What is not in the sums.
    pub uncounted: Uncounted,
    /// Every walker that was asked for, in the registry's order.
    pub walkers: Vec<WalkerReport>,
}

/// What a walker did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WalkerReport {
    /// Its name.
    pub name: &'static str,
    /// What makes the kernel do it.
    pub trigger: &'static str,
    /// Which functions serve the generic path.
    pub generic: Served,
    /// Which functions serve the hugetlb path.
    pub hugetlb: Served,
    /// Calls by path and level; none where there were no calls.
    pub rows: Vec<RowReport>,
    /// Generic by hugetlb at equal leaf size.
    pub ratios: Vec<LevelRatio>,
    /// Who walks, the longest first.
    pub actors: Vec<Party>,
    /// Who is walked, the longest first.
    pub targets: Vec<Party>,
}

/// Calls of one path and level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowReport {
    /// The path; absent where the function does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// The level of the leaves.
    pub level: Level,
    /// Calls.
    pub calls: u64,
    /// Entries that they were given; 0 where that is not told.
    pub leaves: u64,
    /// Bytes that they were given; 0 where that is not told.
    pub bytes: u64,
    /// Time in them, in ns, with what the programs take.
    pub ns: u64,
    /// Calls in a second.
    pub calls_per_second: f64,
    /// Entries in a second.
    pub leaves_per_second: f64,
    /// Median time of a call, in ns.
    pub p50_ns: f64,
    /// 99 of 100 calls take no longer, in ns.
    pub p99_ns: f64,
    /// Mean time of a call, in ns.
    pub mean_ns: f64,
    /// Standard deviation of the time of a call, in ns.
    pub deviation_ns: f64,
    /// Mean time of an entry, in ns; absent where the number is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_per_leaf: Option<f64>,
    /// Mean time of a MiB, in ns; absent where the size is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_per_mib: Option<f64>,
    /// Calls by duration: the middle of a bucket in ns, with what the programs take, and how many.
    pub durations: Vec<(f64, u64)>,
}

/// Both paths at one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelRatio {
    /// The level.
    pub level: Level,
    /// The ratio.
    #[serde(flatten)]
    pub ratio: Ratio,
}

/// A process that walks, or is walked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Party {
    /// Its PID; 0 when the kernel does not tell.
    pub pid: u32,
    /// Its name, escaped; empty when it has ended before it was asked for.
    pub name: String,
    /// Calls.
    pub calls: u64,
    /// Time in them, in ns.
    pub ns: u64,
}

/// How many processes are told of a walker.
const PARTIES: usize = 10;

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// The kernel's release.
    pub kernel: &'a str,
    /// What is attached.
    pub plan: &'a WalkPlan,
    /// What was counted.
    pub sample: &'a Sample,
    /// The time in which it was counted, in ns.
    pub duration: u64,
    /// What the programs take.
    pub calibration: Calibration,
}

impl Report {
    /// Makes it.
    #[must_use]
    pub fn new(material: &Material<'_>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        let seconds = material.duration as f64 / 1e9;
        let walkers =
            material.plan.walkers.iter().map(|plan| walker(plan, material, seconds)).collect();
        Self {
            kernel: material.kernel.to_owned(),
            seconds,
            calibration: material.calibration,
            uncounted: material.sample.uncounted,
            walkers,
        }
    }

    /// Gives the processes the names that they have now, escaped; those that nobody knows any more keep the one that
    /// the kernel told, if any.
    pub fn name(&mut self, mut known: impl FnMut(u32) -> Option<String>) {
        let walkers = self.walkers.iter_mut();
        let parties =
            walkers.flat_map(|walker| walker.actors.iter_mut().chain(&mut walker.targets));
        for party in parties.filter(|party| party.pid != 0) {
            if let Some(name) = known(party.pid) {
                party.name = name;
            }
        }
    }

    /// Makes the rates those since an earlier report of the same counts, in the place of those over the whole time.
    pub fn rates_since(&mut self, before: &Self) {
        let seconds = self.seconds - before.seconds;
        if seconds <= 0.0 {
            // They have been counted anew.
            return;
        }
        for (walker, old) in self.walkers.iter_mut().zip(&before.walkers) {
            for row in &mut walker.rows {
                let old =
                    old.rows.iter().find(|old| (old.path, old.level) == (row.path, row.level));
                let (calls, leaves) = old.map_or((0, 0), |old| (old.calls, old.leaves));
                row.calls_per_second = rate(row.calls.saturating_sub(calls), seconds);
                row.leaves_per_second = rate(row.leaves.saturating_sub(leaves), seconds);
            }
        }
    }
}

/// So many in so many seconds, for each second.
fn rate(number: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
    let number = number as f64;
    if seconds > 0.0 { number / seconds } else { 0.0 }
}

fn walker(plan: &WalkerPlan, material: &Material<'_>, seconds: f64) -> WalkerReport {
    let Walker { name, trigger, .. } = *plan.walker;
    let sums = sums(plan, material.sample);
    let own = |path| plan.own(path, material.calibration);
    let rows = sums
        .iter()
        .map(|(&(path, level), totals)| row(path, level, totals, own(path), seconds))
        .collect();
    let at = |path, level| sums.get(&(Some(path), level));
    let ratios = [Level::Pte, Level::Pmd, Level::Pud]
        .into_iter()
        .filter_map(|level| {
            let (generic, hugetlb) = (at(Path::Generic, level)?, at(Path::Hugetlb, level)?);
            let own = (own(Some(Path::Generic)), own(Some(Path::Hugetlb)));
            let sides = (Side::by_leaf(generic, own.0)?, Side::by_leaf(hugetlb, own.1)?);
            Some(LevelRatio { level, ratio: ratio(sides.0, sides.1)? })
        })
        .collect();
    let pairs = || {
        let is_own = |pair: &&Pair| plan.sites.iter().any(|site| site.number == pair.site);
        material.sample.pairs.iter().filter(is_own)
    };
    WalkerReport {
        name,
        trigger,
        generic: Served::from(&plan.service(Path::Generic)),
        hugetlb: Served::from(&plan.service(Path::Hugetlb)),
        rows,
        ratios,
        actors: parties(pairs().map(|pair| (pair.actor, pair.comm.as_str(), pair))),
        targets: parties(pairs().map(|pair| {
            let comm = if pair.target == pair.actor { pair.comm.as_str() } else { "" };
            (pair.target, comm, pair)
        })),
    }
}

type Sums = BTreeMap<(Option<Path>, Level), Totals>;

/// Both paths' totals, over the walker's sites.
fn sums(plan: &WalkerPlan, sample: &Sample) -> Sums {
    let mut sums = Sums::new();
    for row in &sample.rows {
        if plan.sites.iter().any(|site| site.number == row.site) {
            sums.entry((row.path, row.level)).or_default().merge(&row.totals);
        }
    }
    sums
}

#[expect(clippy::cast_precision_loss, reason = "numbers of calls, of bytes and of ns")]
fn row(path: Option<Path>, level: Level, totals: &Totals, own: f64, seconds: f64) -> RowReport {
    let net = (totals.ns as f64 - own * totals.calls as f64).max(0.0);
    let quantile = |part| (totals.durations.quantile(part).unwrap_or(0.0) - own).max(0.0);
    RowReport {
        path,
        level,
        calls: totals.calls,
        leaves: totals.entries,
        bytes: totals.bytes,
        ns: totals.ns,
        calls_per_second: rate(totals.calls, seconds),
        leaves_per_second: rate(totals.entries, seconds),
        p50_ns: quantile(0.5),
        p99_ns: quantile(0.99),
        mean_ns: net / totals.calls.max(1) as f64,
        deviation_ns: totals
            .durations
            .variance(totals.ns as f64 / totals.calls.max(1) as f64)
            .sqrt(),
        ns_per_leaf: (totals.entries > 0).then(|| net / totals.entries as f64),
        ns_per_mib: (totals.bytes > 0).then(|| net / (totals.bytes as f64 / 1_048_576.0)),
        durations: totals.durations.buckets().collect(),
    }
}

/// The processes with the most time.
fn parties<'a>(pairs: impl Iterator<Item = (u32, &'a str, &'a Pair)>) -> Vec<Party> {
    let mut all: BTreeMap<u32, Party> = BTreeMap::new();
    for (pid, name, pair) in pairs {
        let new = || Party { pid, name: name.to_owned(), calls: 0, ns: 0 };
        let party = all.entry(pid).or_insert_with(new);
        party.calls += pair.calls;
        party.ns += pair.ns;
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|party| std::cmp::Reverse(party.ns));
    all.truncate(PARTIES);
    all
}
