//! The walkers, counted: attached as the plan says, calibrated, and read.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aya::{
    Btf, Ebpf,
    maps::{MapData, PerCpuArray, PerCpuHashMap},
    programs::{FExit, TestRun as _},
};
use probe_common::{
    config::{Config, SLOTS},
    site::{
        CALIBRATION, PLACES, PartiesKey, PartiesPlace, PartiesStat, Site, Sites, Sums,
        Uncounted as Lost,
    },
};

use super::{
    ProbeError,
    attach::{
        Side, attach_candidate, fill_targets, kind, lift_limit, program_misses, targets_size,
        unload,
    },
    functions::functions,
    instructions::Instructions,
    live::{opening, reading, take},
    object::{self, Sizes},
};
use crate::{
    clock,
    escape::escape_padded,
    kernel::facts::{Facts, Mechanism},
    plan::{
        Candidate,
        catalogue::TRIAL_FUNCTION,
        walks::{SitePlan, WalkPlan},
    },
    walk::{
        histogram::Histogram,
        totals::{Calibration, Pair, Row, Sample, Totals, Uncounted},
    },
};

/// What is wanted of the programs.
#[derive(Clone, Debug, Default)]
pub struct WalkSettings {
    /// Only walks of these thread groups' address spaces; empty: of all.
    pub targets: Vec<u32>,
}

/// The walkers, counted. Dropping it detaches the programs.
pub struct Walks {
    ebpf: Ebpf,
    plan: WalkPlan,
    sums: PerCpuArray<MapData, Sums>,
    places: PerCpuArray<MapData, PartiesPlace>,
    parties: PerCpuHashMap<MapData, PartiesKey, PartiesStat>,
    uncounted: PerCpuArray<MapData, Lost>,
    table: Sites,
    calibration: Calibration,
    /// Calls that programs were not shown which are detached now.
    missed: u64,
}

/// Pairs of who walks and who is walked, for each site.
const PARTIES: u32 = 8192;

/// Calls of the empty function that are timed.
const ROUNDS: u32 = 400;

/// How long calls that are under way get to end before the last programs are detached.
const GRACE: Duration = Duration::from_millis(20);

impl Walks {
    /// Loads, attaches and calibrates.
    ///
    /// # Errors
    /// When the kernel does not take the maps. What it does not attach is in the plan.
    pub fn start(
        facts: &Facts,
        mut plan: WalkPlan,
        settings: &WalkSettings,
    ) -> Result<Self, ProbeError> {
        lift_limit();
        let btf = functions(facts).ok();
        let instructions = Instructions::that_work(facts);
        loop {
            let (table, rows) = table(&plan);
            let mut ebpf = load(&plan, &table, rows, settings, instructions)?;
            let calibration = calibrate(&mut ebpf, btf.as_ref(), &plan, &table);
            if attach(&mut ebpf, btf.as_ref(), &mut plan, &table) {
                continue;
            }
            let name = "WALK_SUMS";
            let sums = PerCpuArray::try_from(take(&mut ebpf, name)?).map_err(opening(name))?;
            let name = "WALK_PLACES";
            let places = PerCpuArray::try_from(take(&mut ebpf, name)?).map_err(opening(name))?;
            let name = "WALK_PARTIES";
            let parties = PerCpuHashMap::try_from(take(&mut ebpf, name)?).map_err(opening(name))?;
            let name = "WALK_UNCOUNTED";
            let uncounted = PerCpuArray::try_from(take(&mut ebpf, name)?).map_err(opening(name))?;
            return Ok(Self {
                ebpf,
                plan,
                sums,
                places,
                parties,
                uncounted,
                table,
                calibration,
                missed: 0,
            });
        }
    }

    /// What is attached, and why not more.
    #[must_use]
    pub fn plan(&self) -> &WalkPlan {
        &self.plan
    }

    /// What the programs take of each call.
    #[must_use]
    pub fn calibration(&self) -> Calibration {
        self.calibration
    }

    /// What has been counted until now.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn sample(&self) -> Result<Sample, ProbeError> {
        let mut rows = Vec::new();
        for plan in attached(&self.plan) {
            let Some(site) = self.table.sites.get(plan.number) else { continue };
            for (number, &(path, level)) in (u32::from(site.row)..).zip(plan.site.rows()) {
                let totals = totals(&self.sums, number)?;
                if totals.calls > 0 {
                    rows.push(Row { site: plan.number, path, level, totals });
                }
            }
        }
        let lost = self.uncounted.get(&0, 0).map_err(reading("WALK_UNCOUNTED"))?;
        let uncounted = Uncounted {
            state: lost.iter().map(|lost| lost.state).sum(),
            parties: lost.iter().map(|lost| lost.parties).sum(),
            missed: self.missed(),
        };
        Ok(Sample { time: clock::monotonic(), rows, pairs: self.pairs()?, uncounted })
    }

    fn pairs(&self) -> Result<Vec<Pair>, ProbeError> {
        let mut pairs = BTreeMap::new();
        for number in 0..PLACES {
            let places = self.places.get(&number, 0).map_err(reading("WALK_PLACES"))?;
            for place in places.iter().filter(|place| place.owner != 0) {
                add(&mut pairs, PartiesKey(place.owner), &place.stat);
            }
        }
        for row in &self.parties {
            let (key, values) = row.map_err(reading("WALK_PARTIES"))?;
            values.iter().for_each(|value| add(&mut pairs, key, value));
        }
        Ok(pairs.into_values().collect())
    }

    fn missed(&self) -> u64 {
        let names = [Side::Entry, Side::Exit].into_iter().flat_map(|side| self.programs(side));
        let programs = names.filter_map(|name| self.ebpf.program(&name));
        self.missed + programs.map(program_misses).sum::<u64>()
    }

    fn programs(&self, side: Side) -> Vec<String> {
        attached(&self.plan)
            .filter_map(|plan| {
                let kind = kind(plan.chosen()?.mechanism, side)?;
                Some(format!("{}_{kind}", name(plan.number)))
            })
            .collect()
    }

    fn detach(&mut self, side: Side) {
        for name in self.programs(side) {
            if let Some(program) = self.ebpf.program_mut(&name) {
                self.missed += program_misses(program);
                unload(program);
            }
        }
    }

    /// Detaches everything, and gives the final counts.
    ///
    /// No new call is followed from the first step on; those under way get a moment to end.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn finish(&mut self) -> Result<Sample, ProbeError> {
        self.detach(Side::Entry);
        let end = Instant::now() + GRACE;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::sleep(left);
        }
        self.detach(Side::Exit);
        self.sample()
    }
}

/// Adds what a pair comes to on one CPU, where it can have none yet.
fn add(pairs: &mut BTreeMap<PartiesKey, Pair>, key: PartiesKey, stat: &PartiesStat) {
    if stat.calls == 0 {
        return;
    }
    let pair = pairs.entry(key).or_insert_with(|| {
        let (site, actor, target) = key.parts();
        let site = usize::try_from(site).unwrap_or(usize::MAX);
        Pair { site, actor, comm: String::new(), target, calls: 0, ns: 0 }
    });
    if pair.comm.is_empty() {
        pair.comm = escape_padded(&stat.comm);
    }
    pair.calls += stat.calls;
    pair.ns += stat.ns;
}

/// What the names of a site's programs begin with.
fn name(number: usize) -> String {
    format!("site_{number}")
}

/// The sites that are attached, or can be.
fn attached(plan: &WalkPlan) -> impl Iterator<Item = &SitePlan> {
    plan.walkers.iter().flat_map(|walker| &walker.sites).filter(|site| site.chosen().is_some())
}

/// What the programs are told, and how many rows of sums there are.
fn table(plan: &WalkPlan) -> (Sites, u32) {
    let mut table = Sites::NONE;
    let mut row = 0;
    for plan in attached(plan) {
        if let (Some(site), Some(candidate)) = (table.sites.get_mut(plan.number), plan.chosen()) {
            *site = Site {
                arguments: candidate.arguments,
                shape: plan.site.shape as u8,
                over: plan.site.over as u8,
                row,
                reserved: 0,
            };
            row += u16::try_from(plan.site.rows().len()).unwrap_or(0);
        }
    }
    if let Some(site) = table.sites.get_mut(CALIBRATION) {
        site.row = row;
    }
    (table, u32::from(row) + 1)
}

fn load(
    plan: &WalkPlan,
    table: &Sites,
    rows: u32,
    settings: &WalkSettings,
    instructions: Instructions,
) -> Result<Ebpf, ProbeError> {
    let config = Config {
        filter: u8::from(!settings.targets.is_empty()),
        target: match settings.targets[..] {
            [target] => target,
            _ => 0,
        },
        offsets: plan.offsets,
        ..Config::NONE
    };
    let sizes = Sizes {
        targets: targets_size(&settings.targets),
        slots: SLOTS,
        operations: 4096,
        sums: rows,
        parties: PARTIES,
        ..Sizes::SMALLEST
    };
    let mut ebpf = object::load(&config, table, sizes, 0, instructions)?;
    fill_targets(&mut ebpf, &settings.targets)?;
    Ok(ebpf)
}

/// Attaches every site. What the kernel refuses is noted in the plan, and the next candidate is tried; true when
/// that wants the object to be loaded anew, because it has its arguments elsewhere.
fn attach(ebpf: &mut Ebpf, btf: Option<&Btf>, plan: &mut WalkPlan, table: &Sites) -> bool {
    let mut anew = false;
    for site in plan.walkers.iter_mut().flat_map(|walker| &mut walker.sites) {
        let Some(loaded) = table.sites.get(site.number) else { continue };
        let name = name(site.number);
        let usable = site.candidates.iter_mut().filter(|candidate| candidate.rejected.is_none());
        for candidate in usable {
            if candidate.arguments != loaded.arguments {
                anew = true;
                break;
            }
            match attach_candidate(ebpf, btf, &name, candidate) {
                Ok(()) => break,
                Err(reason) => {
                    log::debug!("{name} on {}: {reason}", candidate.targets.join(", "));
                    unload_all(ebpf, &name, candidate.mechanism);
                    candidate.rejected = Some(reason);
                }
            }
        }
    }
    anew
}

fn unload_all(ebpf: &mut Ebpf, name: &str, mechanism: Mechanism) {
    for side in [Side::Entry, Side::Exit] {
        if let Some(kind) = kind(mechanism, side)
            && let Some(program) = ebpf.program_mut(&format!("{name}_{kind}"))
        {
            unload(program);
        }
    }
}

fn totals(sums: &PerCpuArray<MapData, Sums>, row: u32) -> Result<Totals, ProbeError> {
    let values = sums.get(&row, 0).map_err(reading("WALK_SUMS"))?;
    let mut totals = Totals::default();
    for value in values.iter() {
        totals.calls += value.calls;
        totals.entries += value.entries;
        totals.bytes += value.bytes;
        totals.ns += value.ns;
        totals.durations.add(&value.durations);
    }
    Ok(totals)
}

/// Times an empty function with each mechanism that is used: what is measured is what the programs themselves
/// take of a call.
fn calibrate(ebpf: &mut Ebpf, btf: Option<&Btf>, plan: &WalkPlan, table: &Sites) -> Calibration {
    let mut calibration = Calibration::default();
    let Some(row) = table.sites.get(CALIBRATION).map(|site| u32::from(site.row)) else {
        return calibration;
    };
    let mut before = Histogram::default();
    for mechanism in [Mechanism::Fentry, Mechanism::Kprobe] {
        let uses = |site: &SitePlan| {
            let mut usable = site.candidates.iter().filter(|c| c.rejected.is_none());
            usable.any(|candidate| candidate.mechanism == mechanism)
        };
        if !attached(plan).any(uses) {
            continue;
        }
        let Some(after) = timed(ebpf, btf, mechanism, row) else { continue };
        let median = after.since(&before).quantile(0.5);
        match mechanism {
            Mechanism::Fentry => calibration.fentry = median,
            _ => calibration.kprobe = median,
        }
        before = after;
    }
    calibration
}

/// All durations of the empty function, after it was called again; `None` when it cannot be.
fn timed(ebpf: &mut Ebpf, btf: Option<&Btf>, mechanism: Mechanism, row: u32) -> Option<Histogram> {
    let candidate = Candidate {
        mechanism,
        targets: vec![TRIAL_FUNCTION],
        arguments: probe_common::config::Arguments::NONE,
        limits: None,
        rejected: None,
    };
    let name = name(CALIBRATION);
    let runs = attach_candidate(ebpf, btf, &name, &candidate).is_ok() && call(ebpf, btf?).is_some();
    unload_all(ebpf, &name, mechanism);
    let sums = PerCpuArray::<_, Sums>::try_from(ebpf.map("WALK_SUMS")?).ok()?;
    let values = sums.get(&row, 0).ok()?;
    let mut durations = Histogram::default();
    values.iter().for_each(|value| durations.add(&value.durations));
    runs.then_some(durations)
}

/// Lets the kernel call its functions that are there to be tried.
fn call(ebpf: &mut Ebpf, btf: &Btf) -> Option<()> {
    let program: &mut FExit = ebpf.program_mut("trial_fexit")?.try_into().ok()?;
    program.load(TRIAL_FUNCTION, btf).ok()?;
    let runs = (0..ROUNDS).all(|_| program.test_run(()).is_ok());
    let unloaded = program.unload();
    (runs && unloaded.is_ok()).then_some(())
}
