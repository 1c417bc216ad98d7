//! Measures a suite: one process is walked, and its walks are counted between one request and the next.

use std::{collections::BTreeMap, hint};

use anyhow::Context as _;

use super::{
    results::{
        Case, Clock, Counts, Kernel, LeafBytes, Leaves, Machine, Results, Row, Run, Served,
        Service, Settings, VERSION,
    },
    subject::Subject,
    suite::{NO_SPACE, Suite},
};
use crate::{
    clock,
    escape::escape,
    event::Path,
    exit::Failure,
    kernel::facts::Facts,
    maps::source::{MapSource, Wants},
    plan::{
        cure::cure,
        walks::{self, WalkPlan},
    },
    probe::{WalkSettings, Walks},
    walk::{
        registry,
        site::Level,
        totals::{Sample, Totals},
    },
};

/// Tells how far it is: steps done, steps in all, and what comes now.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64, &str);

/// Measures it, so many times. `source` reads what maps the spaces at the end.
///
/// # Errors
/// When no walker can be counted here, or the process that is measured ends.
pub fn measure(
    suite: &Suite,
    (settings, times): (Settings, u32),
    facts: &Facts,
    source: &mut dyn MapSource,
    progress: Progress<'_>,
) -> anyhow::Result<Results> {
    let work = suite.work();
    let all = work.iter().map(|(_, walkers)| walkers.len() as u64).sum::<u64>();
    let (mut runs, mut served) = (Vec::new(), Vec::new());
    for time in 0..u64::from(times) {
        let mut done = time * all;
        let mut step = |what: &str| {
            progress(done, u64::from(times) * all, what);
            done += 1;
        };
        let (run, services) = run(suite, settings, facts, source, &mut step)?;
        runs.push(run);
        served = services;
    }
    Ok(Results {
        bench: VERSION,
        walkprobe: env!("CARGO_PKG_VERSION").to_owned(),
        suite: suite.name.to_owned(),
        settings,
        clock: unit(),
        kernel: kernel(),
        machine: machine()?,
        services: served,
        runs,
    })
}

/// Once, with a process of its own, whose address space alone is watched.
fn run(
    suite: &Suite,
    settings: Settings,
    facts: &Facts,
    source: &mut dyn MapSource,
    step: &mut dyn FnMut(&str),
) -> anyhow::Result<(Run, Vec<Service>)> {
    let mut subject = Subject::start()?;
    let targets = WalkSettings { targets: vec![subject.pid()] };
    let mut plan = walks::plan(facts);
    plan.walkers.retain(|plan| suite.counts(plan.walker.name));
    let mut walks = Walks::start(facts, plan, &targets)
        .map_err(|error| Failure::Impossible(format!("{error}; {}", cure(facts))))?;
    if let Some(why) = walks.plan().refusal(facts) {
        return Err(Failure::Impossible(why).into());
    }
    let (mut cases, mut leaves) = (Vec::new(), Vec::new());
    for (space, walkers) in suite.work() {
        let areas = subject.build(space, settings.blocks)?;
        for walker in walkers {
            step(&format!("{walker} over {space}"));
            cases.push(match &areas {
                Ok(_) => case(&mut subject, &walks, space, walker, settings)?,
                Err(reason) => skipped(space, walker, reason),
            });
        }
        match areas {
            Ok(areas) if space != NO_SPACE => {
                leaves.push(mapped(source, subject.pid(), space, &areas));
            }
            _ => {}
        }
    }
    drop(subject);
    let uncounted = walks.finish()?.uncounted;
    let run = Run { calibration: walks.calibration(), uncounted, cases, leaves };
    Ok((run, services(walks.plan())))
}

fn skipped(space: &str, walker: &str, reason: &str) -> Case {
    Case {
        space: space.to_owned(),
        walker: walker.to_owned(),
        skipped: Some(reason.to_owned()),
        loops: Vec::new(),
        rows: Vec::new(),
    }
}

fn case(
    subject: &mut Subject,
    walks: &Walks,
    space: &str,
    walker: &str,
    settings: Settings,
) -> anyhow::Result<Case> {
    for _ in 0..settings.warm_up {
        if let Err(reason) = subject.drive(walker, settings.rounds)? {
            return Ok(skipped(space, walker, &reason));
        }
    }
    let (mut loops, mut samples) = (Vec::new(), Vec::new());
    let mut before = walks.sample()?;
    for number in 0..settings.samples {
        wait_for_a_part_of_a_tick(number);
        let driven = match subject.drive(walker, settings.rounds)? {
            Ok(driven) => driven,
            Err(reason) => return Ok(skipped(space, walker, &reason)),
        };
        let now = walks.sample()?;
        loops.push(driven.ns);
        samples.push(counts(&now.since(&before), &driven.walkers));
        before = now;
    }
    let own = |(name, path, _): Key| {
        let mut plans = walks.plan().walkers.iter();
        let plan = plans.find(|plan| plan.walker.name == name);
        plan.map_or(0.0, |plan| plan.own(path, walks.calibration()))
    };
    let rows = rows(&samples, own);
    Ok(Case { space: space.to_owned(), walker: walker.to_owned(), skipped: None, loops, rows })
}

/// A sample takes about as long as it is from one tick of the kernel to the next, so that the tick would come in the same place of
/// each of them: in all, or in none. These pauses, by the golden ratio, spread the samples' beginnings over the longest tick
/// (`CONFIG_HZ=250`, or more), and what the kernel has still to do for the sample before is done in them. A timer would wake this process
/// with a tick: it looks at the clock.
fn wait_for_a_part_of_a_tick(number: u32) {
    const TICK: f64 = 4e6;
    let part = (f64::from(number) * 0.618_033_988_75).fract();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "up to 4 ms")]
    let end = clock::monotonic() + (part * TICK) as u64;
    while clock::monotonic() < end {
        hint::spin_loop();
    }
}

/// Walker, path and level.
type Key = (&'static str, Option<Path>, Level);

/// What these walkers did.
fn counts(sample: &Sample, walkers: &[String]) -> BTreeMap<Key, Totals> {
    let names: Vec<&'static str> = registry::sites().map(|(walker, _)| walker.name).collect();
    let mut all: BTreeMap<Key, Totals> = BTreeMap::new();
    for row in &sample.rows {
        let Some(&name) = names.get(row.site) else { continue };
        if walkers.iter().any(|walker| walker == name) {
            all.entry((name, row.path, row.level)).or_default().merge(&row.totals);
        }
    }
    all
}

/// A row for each key that a sample has; one that has no calls of it has zeroes.
fn rows(samples: &[BTreeMap<Key, Totals>], own: impl Fn(Key) -> f64) -> Vec<Row> {
    let mut keys: Vec<Key> = samples.iter().flat_map(|sample| sample.keys().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    let row = |key: Key| {
        let none = Totals::default();
        let of_key = || samples.iter().map(|sample| sample.get(&key).unwrap_or(&none));
        let mut all = Totals::default();
        of_key().for_each(|totals| all.merge(totals));
        Row {
            walker: key.0.to_owned(),
            path: key.1,
            level: key.2,
            own: own(key),
            samples: of_key().map(Counts::of).collect(),
            durations: all.durations.buckets().collect(),
        }
    };
    keys.into_iter().map(row).collect()
}

/// What maps the areas of a space now.
fn mapped(source: &mut dyn MapSource, pid: u32, space: &str, areas: &[(u64, u64)]) -> Leaves {
    let space = space.to_owned();
    let set = match source.read(pid, Wants::default()) {
        Ok(set) => set,
        Err(error) => return Leaves { space, unknown: Some(error.to_string()), bytes: Vec::new() },
    };
    let mut bytes: Vec<LeafBytes> = Vec::new();
    for &(start, end) in areas {
        for batch in set.walk(start..end) {
            let (size, kind) = (batch.run.size, batch.run.kind);
            let more = batch.run.overlap(&(start..end));
            match bytes.iter_mut().find(|sum| (sum.size, sum.kind) == (size, kind)) {
                Some(sum) => sum.bytes += more,
                None => bytes.push(LeafBytes { size, kind, bytes: more }),
            }
        }
    }
    Leaves { space, unknown: None, bytes }
}

fn services(plan: &WalkPlan) -> Vec<Service> {
    let served = |plan: &walks::WalkerPlan, path| {
        let served = walks::Served::from(&plan.service(path));
        Served {
            service: served.service.to_owned(),
            functions: served.functions.into_iter().map(str::to_owned).collect(),
        }
    };
    let service = |plan: &walks::WalkerPlan| Service {
        walker: plan.walker.name.to_owned(),
        generic: served(plan, Path::Generic),
        hugetlb: served(plan, Path::Hugetlb),
    };
    plan.walkers.iter().map(service).collect()
}

/// Tells that a nanosecond is an instruction; `walkprobe lab --deterministic` sets it.
pub const CLOCK_VARIABLE: &str = "WALKPROBE_CLOCK";

fn unit() -> Clock {
    match std::env::var(CLOCK_VARIABLE).as_deref() {
        Ok("instructions") => Clock::Instructions,
        _ => Clock::Time,
    }
}

fn kernel() -> Kernel {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| escape(part.to_bytes());
    Kernel {
        release: text(uname.release()),
        version: text(uname.version()),
        machine: text(uname.machine()),
    }
}

fn machine() -> anyhow::Result<Machine> {
    use procfs::Current as _;
    let processors = procfs::CpuInfo::current().context("cannot read /proc/cpuinfo")?;
    let memory = procfs::Meminfo::current().context("cannot read /proc/meminfo")?;
    let model = processors.model_name(0).unwrap_or("unknown");
    Ok(Machine {
        processor: escape(model.as_bytes()),
        processors: u32::try_from(processors.num_cores()).unwrap_or(u32::MAX),
        memory: memory.mem_total,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Totals, rows};
    use crate::{event::Path, walk::site::Level};

    #[test]
    fn samples_without_calls_have_zeroes() {
        let totals = |calls| Totals { calls, ..Totals::default() };
        let key = |path| ("smaps", Some(path), Level::Pmd);
        let samples = [
            BTreeMap::from([(key(Path::Generic), totals(4))]),
            BTreeMap::from([(key(Path::Generic), totals(4)), (key(Path::Hugetlb), totals(1))]),
        ];
        let rows = rows(&samples, |_| 0.0);
        let calls = |row: &super::Row| row.samples.iter().map(|s| s.calls).collect::<Vec<_>>();
        assert_eq!(rows.iter().map(calls).collect::<Vec<_>>(), [[4, 4], [0, 1]]);
        let steady = rows.iter().map(|row| row.counts().map(|counts| counts.calls));
        assert_eq!(steady.collect::<Vec<_>>(), [Some(4), None]);
    }
}
