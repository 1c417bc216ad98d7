//! `walkprobe maps` of very many VMAs, and of very large ones.

use std::{collections::BTreeSet, fs};

use libtest_mimic::{Failed, Trial};
use walkprobe::{
    live::source::LiveSource,
    maps::{
        json,
        source::{MapSource as _, Wants},
    },
    model::{leaf::LeafKind, leaf::Run, map::LeafMap, set::TranslationSet},
};

use crate::{
    child::Actor,
    memory::PAGE,
    roles::{TERABYTE, TOUCHED, VMAS},
    run::{ensure, note, run, walkprobe},
};

const LIMIT: &str = "/proc/sys/vm/max_map_count";

pub(crate) fn trials() -> Vec<Trial> {
    let refused = fs::read(LIMIT).and_then(|limit| fs::write(LIMIT, limit)).err();
    if let Some(error) = &refused {
        note(&format!("many::a_hundred_thousand_vmas is left out: {LIMIT}: {error}"));
    }
    vec![
        Trial::test("many::a_hundred_thousand_vmas", a_hundred_thousand_vmas)
            .with_ignored_flag(refused.is_some()),
        Trial::test("many::a_terabyte", a_terabyte),
    ]
}

/// More VMAs than a process may have otherwise; as before when dropped.
struct Limit(String);

impl Limit {
    fn raise() -> std::io::Result<Self> {
        let before = Self(fs::read_to_string(LIMIT)?);
        fs::write(LIMIT, "300000")?;
        Ok(before)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // It could be written before.
        let _ = fs::write(LIMIT, &self.0);
    }
}

fn maps(form: &[&str], pid: u32) -> Result<String, Failed> {
    let ended = run(walkprobe().arg("maps").args(form).arg(pid.to_string()))?;
    ensure(ended.code() == Some(0) && ended.stderr.is_empty(), || {
        format!("{form:?}: {:?}: {}", ended.status, ended.stderr)
    })?;
    Ok(ended.stdout)
}

fn a_hundred_thousand_vmas() -> Result<(), Failed> {
    let _limit = Limit::raise()?;
    let mut actor = Actor::new("vmas")?;
    let start: u64 = actor.words()?.get(1).ok_or("no address")?.parse()?;
    let kernel = fs::read_to_string(format!("/proc/{}/maps", actor.pid()))?;
    let expected = kernel.lines().filter(|line| !line.ends_with("[vsyscall]")).count();
    ensure(expected > VMAS, || format!("only {expected} VMAs"))?;

    let sets = json::read(&maps(&["--json"], actor.pid())?)?;
    let set = sets.first().ok_or("no process")?;
    ensure(set.maps().len() == expected, || format!("{} of {expected}", set.maps().len()))?;
    let range = start..start + (VMAS * PAGE) as u64;
    let mut touched = 0;
    for (n, map) in set.maps().iter().filter(|map| range.contains(&map.vma().start)).enumerate() {
        let vma = map.vma();
        let run = map.runs()[0];
        let in_place = vma.start == start + (n * PAGE) as u64 && vma.bytes() == PAGE as u64;
        let is_touched = n % TOUCHED == 1;
        // pagemap without page flags shows a page of zeroes as memory.
        let right = if is_touched {
            matches!(run.kind, LeafKind::Zero | LeafKind::Present)
        } else {
            run.kind == LeafKind::Hole
        };
        ensure(in_place && right && vma.permissions.read == (n % 2 == 1), || {
            format!("VMA {n}: {vma:?} {run:?}")
        })?;
        touched += usize::from(is_touched);
    }
    ensure(touched == VMAS.div_ceil(TOUCHED), || format!("{touched} pages"))?;

    let csv = maps(&["--csv"], actor.pid())?;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let starts = reader.records().map(|record| record.map(|record| record[1].to_owned()));
    let starts = starts.collect::<Result<BTreeSet<_>, _>>()?.len();
    let runs: usize = set.maps().iter().map(|map| map.runs().len()).sum();
    let listed = maps(&["--runs"], actor.pid())?.lines().count();
    let table = maps(&[], actor.pid())?;
    let rows = table.lines().filter(|line| is_range(line)).count();
    let marked = json::read(&maps(&["--json", "--marks"], actor.pid())?)?[0].maps().len();
    ensure([starts, rows, marked] == [expected; 3] && listed > runs, || {
        format!("csv {starts}, table {rows}, with marks {marked} of {expected}; {listed} of {runs}")
    })?;
    ensure(table.contains(&format!(" in {expected} VMAs, ")), || {
        table.lines().rev().take(8).collect::<Vec<_>>().join("\n")
    })
}

/// Whether a line of the table begins with the addresses of a VMA.
fn is_range(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    first.split_once('-').is_some_and(|(start, end)| {
        [start, end].iter().all(|text| u64::from_str_radix(text, 16).is_ok())
    })
}

/// What a leaf map takes up, in its own structure and on the heap.
fn footprint(map: &LeafMap) -> usize {
    size_of::<LeafMap>() + size_of_val(map.runs()) + map.vma().name.len()
}

fn a_terabyte() -> Result<(), Failed> {
    let mut actor = Actor::new("terabyte")?;
    let words = actor.words()?;
    let address = |at: usize| Ok::<u64, Failed>(words.get(at).ok_or("no address")?.parse()?);
    let (touched, forbidden) = (address(1)?, address(2)?);
    let live = LiveSource::open(Wants::default()).read(actor.pid(), Wants::default())?;
    let saved = json::read(&maps(&["--json"], actor.pid())?)?.remove(0);
    for set in [&live, &saved] {
        let map = of(set, touched)?;
        let kinds: Vec<LeafKind> = map.runs().iter().map(|run| run.kind).collect();
        let bytes: u64 = map.runs().iter().map(Run::bytes).sum();
        ensure(
            kinds == [LeafKind::Hole, LeafKind::Present, LeafKind::Hole]
                && map.runs()[1].count == 1
                && map.runs()[1].start == touched + TERABYTE as u64 / 2
                && bytes == TERABYTE as u64,
            || format!("{:?}", map.runs()),
        )?;
        let empty = of(set, forbidden)?;
        ensure(empty.runs().len() == 1 && empty.vma().bytes() == TERABYTE as u64, || {
            format!("{:?}", empty.runs())
        })?;
        for map in [map, empty] {
            let bytes = footprint(map);
            ensure(bytes < 1024, || format!("{bytes} bytes for {:?}", map.vma()))?;
        }
    }
    let table = maps(&[], actor.pid())?;
    let rows = table.lines().filter(|line| is_range(line) && line.contains(" 1T ")).count();
    ensure(rows == 2, || table)
}

/// The leaf map of the VMA that starts here.
fn of(set: &TranslationSet, start: u64) -> Result<&LeafMap, Failed> {
    let found = set.maps().iter().find(|map| map.vma().start == start);
    found.ok_or_else(|| format!("no VMA at {start:#x}").into())
}
