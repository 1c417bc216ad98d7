//! A process at rest, as the scan and as the kernel's own interfaces see it: no page and no sum may differ.

use std::{fs, fs::File, ops::Range, thread, time::Duration};

use libtest_mimic::Failed;
use walkprobe::{
    live::source::LiveSource,
    maps::source::{MapSource as _, Wants},
    model::{
        leaf::{LeafKind, Run},
        map::LeafMap,
        set::{Source, TranslationSet},
    },
};

use crate::{
    child::until,
    compare::{self, Entry, Place, bytes, smaps_counts},
    folios,
    run::{ensure, guest},
    setting::Setting,
    smaps::{self, Told},
};

/// How often the kernel may change something, by itself, while it is compared.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// How often the scan may differ where khugepaged goes on: it takes a table away while it collapses what it maps, and puts
/// it back where that fails (mm/khugepaged.c, `collapse_huge_page`). It holds the lock meanwhile that the kernel's own
/// readers wait for, and the scan does not.
const DIFFERENCES: u32 = 5;

/// What changes page tables of others; all of it stands still once this is written.
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
struct Reading(Vec<(Told, Vec<Entry>)>);

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
pub(crate) fn stop_background() -> Vec<Setting> {
    if guest().is_none() {
        return Vec::new();
    }
    // What this kernel does not have does nothing.
    BACKGROUND.iter().filter_map(|(file, value)| Setting::change(file, value).ok()).collect()
}

/// Compares what can be known of a process at rest, in every way.
pub(crate) fn at_quiet(pid: u32, state: &mut State) -> Result<(), Failed> {
    until("sleep of all threads", || all_sleep(pid))?;
    let stopped = stop_background();
    let mut differences = 0;
    let mut changed = String::new();
    for _ in 0..ATTEMPTS {
        let before = Reading::of(pid)?;
        let outcome = compared(pid, state, &before);
        // What the kernel does meanwhile belongs to nobody's reading.
        let after = Reading::of(pid)?;
        if after == before {
            differences += 1;
            if outcome.is_err() && stopped.is_empty() && differences < DIFFERENCES {
                thread::sleep(PAUSE);
                continue;
            }
            let seen = outcome?;
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

/// `None` while one of its threads does anything.
pub(crate) fn all_sleep(pid: u32) -> Option<()> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let sleeps = |thread: fs::DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        (stat.rsplit(") ").next()?.starts_with('S')).then_some(())
    };
    threads.map(|thread| sleeps(thread.ok()?)).collect()
}

fn compared(pid: u32, state: &mut State, reading: &Reading) -> Result<compare::Bytes, Failed> {
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
        compare::pages(&place, map.runs(), pagemap).map_err(context)?;
        sums(told, map.runs()).map_err(context)?;
        let folios = at(&with_folios, number, &told.range)?;
        folios::check(&place, folios.runs(), pagemap).map_err(context)?;
        let found = bytes(map.runs());
        ensure(bytes(folios.runs()) == found, || format!("with folios: {folios:?}, {map:?}"))?;
        for (key, bytes) in found {
            *all.entry(key).or_default() += bytes;
        }
    }
    for other in &mut state.others {
        let told = read(other, pid, Wants::default())?;
        sources(&set, &told, reading)?;
    }
    Ok(all)
}

fn read(source: &mut LiveSource, pid: u32, wants: Wants) -> Result<TranslationSet, Failed> {
    let set = source.read(pid, wants).map_err(anyhow::Error::new)?;
    let torn = set.origin().torn;
    ensure(torn == 0, || format!("{torn} torn at rest, by {}", set.origin().source))?;
    Ok(set)
}

/// The leaf map of a VMA.
fn at<'a>(
    set: &'a TranslationSet,
    number: usize,
    range: &Range<u64>,
) -> Result<&'a LeafMap, Failed> {
    let map = set.maps().get(number).filter(|map| map.vma().range() == *range);
    map.ok_or_else(|| format!("no leaf map {number} of {range:x?}").into())
}

/// Whether smaps counts such leaves. Until Linux 6.5 it passes over huge ones that trap
/// (mm/huge_memory.c, `follow_trans_huge_pmd`); hugetlb memory is another function's.
fn counts(run: &Run) -> bool {
    smaps_counts(run.kind) && !is_passed_over(run)
}

fn is_passed_over(run: &Run) -> bool {
    let old = guest().is_some_and(|series| series == "6.1");
    old && run.kind == LeafKind::ProtNone && run.size.is_huge()
}

/// The sums of smaps (fs/proc/task_mmu.c, `smap_gather_stats`).
fn sums(told: &Told, runs: &[Run]) -> Result<(), Failed> {
    let sum = |is: &dyn Fn(&Run) -> bool| -> u64 {
        runs.iter().filter(|run| is(run)).map(Run::bytes).sum()
    };
    let same = |what: &str, found: u64, told: u64| {
        ensure(found == told, || format!("{what}: {found} found, {told} told: {runs:?}"))
    };
    let is_hugetlb = told.has_flag("ht");
    let counted = sum(&counts);
    let huge = sum(&|run| counts(run) && run.size.is_huge());
    if is_hugetlb {
        let huge = sum(&|run| smaps_counts(run.kind));
        return same("hugetlb", huge, told.sum(&["Private_Hugetlb", "Shared_Hugetlb"]));
    }
    let fields = ["AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"];
    same("huge leaves", huge, told.sum(&fields))?;
    // The kernel's own pages, [vdso] and the like, are no memory of the process.
    if !told.name.starts_with("[v") {
        same("Rss", counted, told.sum(&["Rss"]))?;
    }
    // Of shared memory what is swapped stands in the file.
    if told.name.is_empty() || told.name.starts_with('[') {
        same("Swap", sum(&|run| run.kind == LeafKind::Swap), told.sum(&["Swap"]))?;
    }
    Ok(())
}

/// What every source tells exactly: how many bytes are mapped, and how many of them by which size. Pages of zeroes are
/// left out of the sizes, of which `pagemap` tells nothing.
fn sources(scan: &TranslationSet, other: &TranslationSet, reading: &Reading) -> Result<(), Failed> {
    for (number, (told, _)) in reading.0.iter().enumerate() {
        if told.has_flag("pf") {
            continue;
        }
        let maps = [at(scan, number, &told.range)?, at(other, number, &told.range)?];
        let summed = |counts: &dyn Fn(&Run) -> bool| {
            maps.map(|map| map.runs().iter().filter(|run| counts(run)).map(Run::bytes).sum::<u64>())
        };
        let mapped = summed(&|run| run.kind.is_mapped());
        let huge = summed(&|run| {
            run.kind.is_mapped()
                && run.kind != LeafKind::Zero
                && run.size.is_huge()
                && (told.has_flag("ht") || !is_passed_over(run))
        });
        ensure(mapped[0] == mapped[1] && huge[0] == huge[1], || {
            format!(
                "{mapped:?} bytes mapped, {huge:?} by huge leaves, in {told:?}: by the scan {:?}, by \
                 {} {:?}",
                maps[0].runs(),
                other.origin().source,
                maps[1].runs()
            )
        })?;
    }
    Ok(())
}
