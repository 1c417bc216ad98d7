//! A process at rest, as the scan and as the kernel's own interfaces see it: no page and no sum may differ.

use std::{fs, fs::File, ops::Range, thread, time::Duration};

use libtest_mimic::Failed;
use walkprobe::{
    live::source::LiveSource,
    maps::source::{MapSource as _, Wants},
    model::{
        leaf::LeafKind,
        map::LeafMap,
        set::{Source, TranslationSet},
    },
};

use crate::{
    activity::{Activity, is_running},
    child::until,
    compare::{self, Entry, Place, bytes},
    folios,
    missed::{Seen, without_table},
    run::{ensure, guest},
    setting::Setting,
    smaps::{self, Told},
    sums::{of_sources, of_vma},
};

/// How often the kernel may change something, by itself, while it is compared.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// How often the scan may miss a table where khugepaged goes on: it takes one away while it collapses what the table
/// maps, and puts it back where that fails (mm/khugepaged.c, `collapse_huge_page`). It holds the lock meanwhile that
/// the kernel's own readers wait for, and the scan does not.
const MISSES: u32 = 5;

/// What changes page tables of others; all of it stands still once this is written, in this order: khugepaged works for
/// shared memory too, and for each size of folios that has a mode of its own (mm/khugepaged.c, `start_stop_khugepaged`).
const BACKGROUND: [(&str, &str); 3] = [
    ("/sys/kernel/mm/ksm/run", "0"),
    ("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "never"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "never"),
];

/// What is compared at quiet points, and how much of it there was.
pub(crate) struct State {
    scan: LiveSource,
    /// The kernel's own interfaces as sources of leaf maps.
    pub(crate) others: Vec<LiveSource>,
    /// Quiet points that were compared.
    pub(crate) points: u64,
    /// Pages that are mapped, or hold something else, at all of them.
    pub(crate) pages: u64,
    /// VMAs at all of them; and the most at one.
    pub(crate) vmas: usize,
    pub(crate) most_vmas: usize,
    /// How often it had to be done again, because the kernel changed something.
    pub(crate) again: u64,
    /// Bytes that were seen, by kind and size of leaves.
    pub(crate) seen: compare::Bytes,
}

impl State {
    pub(crate) fn new(others: Vec<LiveSource>) -> Self {
        Self {
            scan: LiveSource::open(Wants { folios: true, ..Wants::default() }),
            others,
            points: 0,
            pages: 0,
            vmas: 0,
            most_vmas: 0,
            again: 0,
            seen: compare::Bytes::new(),
        }
    }
}

/// What the kernel's own interfaces say of a process.
#[derive(PartialEq, Eq)]
pub(crate) struct Reading(pub(crate) Vec<(Told, Vec<Entry>)>);

impl Reading {
    fn of(pid: u32) -> Result<Self, Failed> {
        let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
        let vmas = smaps::of(&pid.to_string())?;
        let read = |vma: Told| Ok((vma.clone(), compare::entries(&pagemap, &vma.range)?));
        Ok(Self(vmas.into_iter().map(read).collect::<Result<_, Failed>>()?))
    }

    /// The first thing that is not the same.
    fn difference(&self, other: &Self) -> String {
        let Some((one, two)) = self.0.iter().zip(&other.0).find(|(one, two)| one != two) else {
            return "the number of VMAs".to_owned();
        };
        let page = one.1.iter().zip(&two.1).enumerate().find(|(_, (one, two))| one != two);
        format!("{:?} to {:?}: {page:x?}", one.0, two.0)
    }
}

/// Stops khugepaged and ksmd until what it gives is dropped; only in a guest.
pub(crate) fn stop_background() -> Result<Vec<Setting>, Failed> {
    if guest().is_none() {
        return Ok(Vec::new());
    }
    // What this kernel does not have does nothing.
    let stopped: Vec<_> =
        BACKGROUND.iter().filter_map(|(file, value)| Setting::change(file, value).ok()).collect();
    // It has stopped by then, and is gone a moment later.
    until("the end of khugepaged", || (!is_running("khugepaged")).then_some(()))?;
    Ok(stopped)
}

/// Compares what can be known of a process at rest, in every way.
pub(crate) fn at_quiet(pid: u32, state: &mut State) -> Result<(), Failed> {
    until("sleep of all threads", || all_sleep(pid))?;
    let stopped = stop_background()?;
    let background = Activity::now();
    let mut misses = 0;
    let mut changed = String::new();
    for _ in 0..ATTEMPTS {
        let before = Reading::of(pid)?;
        let outcome = compared(pid, state, &before);
        // What the kernel does meanwhile belongs to nobody's reading.
        let after = Reading::of(pid)?;
        if after == before {
            if let Ok(Seen::WithoutTable(_)) = outcome
                && stopped.is_empty()
                && misses < MISSES
            {
                misses += 1;
                thread::sleep(PAUSE);
                continue;
            }
            let seen = outcome
                .and_then(Seen::all)
                .map_err(|failed| explained(&failed, pid, state, &background))?;
            state.points += 1;
            state.vmas += before.0.len();
            state.most_vmas = state.most_vmas.max(before.0.len());
            for (key, bytes) in seen {
                *state.seen.entry(key).or_default() += bytes;
                if key.0 != LeafKind::Hole {
                    state.pages += bytes / key.1.bytes();
                }
            }
            return Ok(());
        }
        changed = before.difference(&after);
        state.again += 1;
        thread::sleep(PAUSE);
    }
    Err(format!("{ATTEMPTS} attempts, and the kernel still changes {changed}").into())
}

/// Adds what tells where to look for the cause: whether the next look is right, and what the kernel did by itself.
fn explained(failed: &Failed, pid: u32, state: &mut State, background: &Activity) -> Failed {
    let activity = background.since();
    let again = Reading::of(pid).and_then(|reading| compared(pid, state, &reading)?.all());
    let next = again.map_or_else(|failed| message(&failed), |_| "nothing differs".to_owned());
    format!("{}; by itself the kernel did {activity:?}; the next time {next}", message(failed))
        .into()
}

fn message(failed: &Failed) -> String {
    failed.message().unwrap_or_default().to_owned()
}

/// `None` while one of its threads does anything.
pub(crate) fn all_sleep(pid: u32) -> Option<()> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let sleeps = |thread: fs::DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        (stat.rsplit(") ").next()?.starts_with('S')).then_some(())
    };
    threads.map(|thread| sleeps(thread.ok()?)).collect()
}

fn compared(pid: u32, state: &mut State, reading: &Reading) -> Result<Seen, Failed> {
    let set = read(&mut state.scan, pid, Wants::default())?;
    ensure(set.origin().source == Source::PageTables, || "no scan".to_owned())?;
    let with_folios = read(&mut state.scan, pid, Wants { folios: true, ..Wants::default() })?;
    let mut all = compare::Bytes::new();
    for (number, (told, pagemap)) in reading.0.iter().enumerate() {
        let map = at(&set, number, &told.range)?;
        // Bare page frames of the kernel's own: it tells nothing of them.
        if told.has_flag("pf") {
            continue;
        }
        let context = |failed: Failed| -> Failed {
            format!("in {told:?}: {}", failed.message().unwrap_or_default()).into()
        };
        let place = Place { range: told.range.clone(), hugetlb: told.has_flag("ht") };
        let folios = at(&with_folios, number, &told.range)?;
        for runs in [map.runs(), folios.runs()] {
            if let Some(address) = without_table(&place, runs, pagemap) {
                return Ok(Seen::WithoutTable(address));
            }
        }
        compare::pages(&place, map.runs(), pagemap).map_err(context)?;
        of_vma(told, map.runs()).map_err(context)?;
        folios::check(&place, folios.runs(), pagemap).map_err(context)?;
        let found = bytes(map.runs());
        ensure(bytes(folios.runs()) == found, || format!("with folios: {folios:?}, {map:?}"))?;
        for (key, bytes) in found {
            *all.entry(key).or_default() += bytes;
        }
    }
    for other in &mut state.others {
        let told = read(other, pid, Wants::default())?;
        of_sources(&set, &told, reading)?;
    }
    Ok(Seen::Same(all))
}

fn read(source: &mut LiveSource, pid: u32, wants: Wants) -> Result<TranslationSet, Failed> {
    let set = source.read(pid, wants).map_err(anyhow::Error::new)?;
    let torn = set.origin().torn;
    ensure(torn == 0, || format!("{torn} torn at rest, by {}", set.origin().source))?;
    Ok(set)
}

/// The leaf map of a VMA.
pub(crate) fn at<'a>(
    set: &'a TranslationSet,
    number: usize,
    range: &Range<u64>,
) -> Result<&'a LeafMap, Failed> {
    let map = set.maps().get(number).filter(|map| map.vma().range() == *range);
    map.ok_or_else(|| format!("no leaf map {number} of {range:x?}").into())
}
