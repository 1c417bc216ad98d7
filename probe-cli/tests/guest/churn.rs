//! Processes that change while they are read: always a valid answer or one clear reason, never a
//! mixture, never an endless attempt.

use std::{
    collections::BTreeMap,
    env, fs,
    process::Stdio,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use walkprobe::{
    live::source::LiveSource,
    maps::{
        json,
        source::{MapError, MapSource as _, Wants},
    },
    model::{
        leaf::LeafKind,
        set::{self, TranslationSet},
    },
    pagemap::Source,
};

use crate::{
    child::{Actor, command, until},
    memory::PAGE,
    restless::CALM,
    run::{PATIENCE, ensure, guest, note, run, wait, walkprobe},
};

const PLAIN: Wants = Wants { marks: false, folios: false };
const MARKS: Wants = Wants { marks: true, ..PLAIN };
const FOLIOS: Wants = Wants { folios: true, ..PLAIN };

pub(crate) fn trials() -> Vec<Trial> {
    // There is no loop helper before Linux 5.17.
    let too_old = guest().is_some_and(|series| series == "5.10");
    // An ioctl since Linux 6.7.
    let no_ioctl = walkprobe::pagemap::best() != Source::Scan;
    vec![
        Trial::test("churn::a_thousand_scans", || {
            scans_where_it_must()?;
            restless(LiveSource::open(PLAIN), 1000, PLAIN)
        })
        .with_ignored_flag(too_old),
        Trial::test("churn::with_marks", || restless(LiveSource::open(MARKS), 100, MARKS))
            .with_ignored_flag(too_old),
        Trial::test("churn::with_folios", || restless(LiveSource::open(FOLIOS), 100, FOLIOS))
            .with_ignored_flag(too_old),
        Trial::test("churn::by_pagemap_scan", || {
            restless(LiveSource::by(Source::Scan), 200, PLAIN)?;
            restless(LiveSource::by(Source::Scan), 50, MARKS)
        })
        .with_ignored_flag(no_ioctl),
        Trial::test("churn::by_pagemap", || restless(LiveSource::by(Source::Entries), 100, PLAIN)),
        Trial::test("churn::by_the_command", by_the_command),
        Trial::test("churn::exec", exec),
        Trial::test("churn::exec_and_the_command", exec_and_the_command),
        Trial::test("churn::short_lives", short_lives),
        Trial::test("churn::children_of_vfork", children_of_vfork),
    ]
}

/// Reads a process that never rests so many times.
fn restless(mut source: LiveSource, rounds: u32, wants: Wants) -> Result<(), Failed> {
    let mut actor = Actor::new("restless")?;
    let calm = calm(&mut actor)?;
    let start = Instant::now();
    let (mut tables, mut retried, mut torn, mut most_torn, mut changed) = (0, 0, 0, 0, 0);
    let mut last: Option<TranslationSet> = None;
    let mut round = 0;
    // Where the process gets less of a CPU than the scan, more rounds are wanted to see it change.
    while round < rounds || changed < rounds / 4 {
        ensure(start.elapsed() < PATIENCE, || {
            format!("{round} rounds with {changed} changes in {PATIENCE:?}")
        })?;
        let set = source
            .read(actor.pid(), wants)
            .map_err(|error| format!("round {round}: {:#}", anyhow::Error::new(error)))?;
        valid(&set)
            .and_then(|()| is_calm(&set, calm))
            .map_err(|failed| format!("round {round}: {}", failed.message().unwrap_or_default()))?;
        let origin = set.origin();
        tables += origin.tables;
        retried += origin.retried;
        torn += origin.torn;
        most_torn = most_torn.max(origin.torn);
        changed += u32::from(last.is_some_and(|last| last.maps() != set.maps()));
        last = Some(set);
        round += 1;
    }
    let set = last.ok_or("no round")?;
    note(&format!(
        "{round} times by {}{} in {:?}: {changed} differ from the one before; {tables} tables, \
         {retried} read again, {torn} torn, at most {most_torn} at a time; {} VMAs",
        set.origin().source,
        match wants {
            MARKS => " with marks",
            FOLIOS => " with folios",
            _ => "",
        },
        start.elapsed(),
        set.maps().len(),
    ));
    Ok(())
}

/// In a guest the page tables are read, and nothing else. A machine at hand may refuse it: then the
/// note of the test tells what was read instead.
fn scans_where_it_must() -> Result<(), Failed> {
    let source =
        LiveSource::open(PLAIN).read(std::process::id(), Wants::default())?.origin().source;
    let scans = source == set::Source::PageTables;
    ensure(scans || guest().is_none(), || format!("read by {source}"))
}

/// Where the memory is that does not change.
fn calm(actor: &mut Actor) -> Result<u64, Failed> {
    let words = actor.words()?;
    Ok(words.get(1).ok_or("no address")?.parse()?)
}

/// Checks what the types promise, by other means than theirs.
fn valid(set: &TranslationSet) -> Result<(), Failed> {
    let mut border = 0;
    for map in set.maps() {
        let vma = map.vma();
        let sound = border <= vma.start && vma.start < vma.end;
        ensure(sound, || format!("{vma:?} starts before {border:#x}"))?;
        let mut at = vma.start;
        for run in map.runs() {
            let bytes = run.count << run.size.shift();
            let size_exists = matches!(run.size.shift(), 12 | 21 | 30);
            let aligned = run.start.trailing_zeros() >= run.size.shift().into();
            ensure(run.start == at && bytes > 0 && size_exists && aligned, || {
                format!("{run:?} in {vma:?}, which is covered to {at:#x}")
            })?;
            at += bytes;
        }
        ensure(at == vma.end, || format!("{vma:?} is covered to {at:#x}"))?;
        border = vma.end;
    }
    Ok(())
}

/// Whatever happens around it, memory at rest is told as it is: every second page is there.
fn is_calm(set: &TranslationSet, start: u64) -> Result<(), Failed> {
    let range = start..start + CALM as u64;
    let (mut there, mut covered) = (0, 0);
    for batch in set.walk(range.clone()) {
        let run = batch.run;
        covered += run.overlap(&range);
        if run.kind == LeafKind::Hole {
            continue;
        }
        // The kernel may move a page at any time.
        let known = matches!(run.kind, LeafKind::Present | LeafKind::Migration);
        let place = (run.start - start) % (2 * PAGE as u64);
        ensure(known && run.count == 1 && place == 0, || format!("in memory at rest: {run:?}"))?;
        there += 1;
    }
    let expected = CALM / PAGE / 2;
    ensure(covered == CALM as u64 && there == expected, || {
        format!("{there} pages instead of {expected} in {covered:#x} bytes of memory at rest")
    })
}

fn by_the_command() -> Result<(), Failed> {
    let mut actor = Actor::new("restless")?;
    let calm = calm(&mut actor)?;
    let pid = actor.pid().to_string();
    for form in ["--json", "--csv", "--runs", "--marks", "--sort=size", "--json"] {
        let ended = run(walkprobe().args(["maps", form, &pid]))?;
        ensure(ended.code() == Some(0) && ended.stderr.is_empty(), || {
            format!("{form}: {:?}: {}", ended.status, ended.stderr)
        })?;
        if form == "--json" {
            let sets = json::read(&ended.stdout)?;
            let set = sets.first().ok_or("no process")?;
            valid(set)?;
            is_calm(set, calm)?;
        }
    }
    Ok(())
}

/// The name that the kernel gives to this program.
fn own_comm() -> Result<String, Failed> {
    let own = env::current_exe()?;
    let name = own.file_name().ok_or("no name")?.to_string_lossy().into_owned();
    Ok(name.chars().take(15).collect())
}

/// Name and memory are of the same program: this one or another.
fn unmixed(set: &TranslationSet) -> Result<(), Failed> {
    valid(set)?;
    let own = env::current_exe()?.to_string_lossy().into_owned();
    let comm = &set.origin().comm;
    let files: Vec<_> =
        set.vmas().map(|vma| vma.name.as_str()).filter(|name| name.starts_with('/')).collect();
    let is_ours = files.contains(&own.as_str());
    let is_only_ours = files.iter().all(|name| *name == own);
    ensure(!files.is_empty() && is_ours == (*comm == own_comm()?), || {
        format!(
            "{comm} with the memory of {:?}",
            set.vmas().map(|vma| &vma.name).collect::<Vec<_>>()
        )
    })?;
    // This program is static.
    ensure(!is_ours || is_only_ours, || format!("{comm} with the memory of two programs"))
}

/// What reading came to.
#[derive(Default)]
struct Outcomes(BTreeMap<&'static str, u32>);

impl Outcomes {
    /// A valid answer, or a reason that a process that comes and goes can have.
    fn add(&mut self, outcome: &Result<TranslationSet, MapError>) -> Result<(), Failed> {
        let word = match outcome {
            Ok(set) => {
                unmixed(set)?;
                "read"
            }
            Err(MapError::Executed { .. }) => "called exec",
            Err(MapError::Exited { .. }) => "exited",
            Err(MapError::Ended { .. }) => "had ended",
            Err(MapError::NoSuchProcess { .. }) => "were gone",
            Err(error) => return Err(format!("{error:?}").into()),
        };
        *self.0.entry(word).or_default() += 1;
        Ok(())
    }

    fn of(&self, word: &str) -> u32 {
        self.0.get(word).copied().unwrap_or(0)
    }
}

fn exec() -> Result<(), Failed> {
    let mut source = LiveSource::open(PLAIN);
    let actor = Actor::new("exec")?;
    let end = Instant::now() + PATIENCE;
    let mut outcomes = Outcomes::default();
    // Both must have been seen.
    while outcomes.of("read") < 100 || outcomes.of("called exec") < 10 {
        outcomes.add(&source.read(actor.pid(), Wants::default()))?;
        ensure(Instant::now() < end, || format!("only {:?}", outcomes.0))?;
    }
    note(&format!("while it called exec: {:?}", outcomes.0));
    ensure(outcomes.0.len() == 2, || format!("it lives, but {:?}", outcomes.0))
}

fn exec_and_the_command() -> Result<(), Failed> {
    let actor = Actor::new("exec")?;
    for _ in 0..10 {
        let ended = run(walkprobe().args(["maps", "--json", &actor.pid().to_string()]))?;
        match ended.code() {
            Some(0) => json::read(&ended.stdout)?.iter().try_for_each(unmixed)?,
            code => ensure(code == Some(5) && ended.stderr.contains("called exec while"), || {
                format!("{:?}: {}", ended.status, ended.stderr)
            })?,
        }
    }
    Ok(())
}

fn short_lives() -> Result<(), Failed> {
    let mut source = LiveSource::open(PLAIN);
    let mut outcomes = Outcomes::default();
    for _ in 0..300 {
        let mut child = command("exit")?.stdin(Stdio::null()).spawn()?;
        let twice = [child.id(), child.id()].map(|pid| source.read(pid, Wants::default()));
        child.wait()?;
        twice.iter().try_for_each(|outcome| outcomes.add(outcome))?;
        outcomes.add(&source.read(child.id(), Wants::default()))?;
    }
    note(&format!("short-lived processes: {:?}", outcomes.0));
    ensure(outcomes.of("were gone") >= 300, || format!("{:?}", outcomes.0))?;
    for _ in 0..10 {
        let mut child = command("exit")?.stdin(Stdio::null()).spawn()?;
        let command = walkprobe()
            .args(["maps", "--json", &child.id().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let ended = wait(command);
        child.wait()?;
        let ended = ended?;
        let one_sentence = ended.stderr.lines().count() == 1;
        ensure(ended.code() == Some(0) || ended.code() == Some(5) && one_sentence, || {
            format!("{:?}: {}", ended.status, ended.stderr)
        })?;
    }
    Ok(())
}

/// Until it calls exec, a child of vfork has the address space of its parent, which lives on.
fn children_of_vfork() -> Result<(), Failed> {
    let mut source = LiveSource::open(PLAIN);
    let mut actor = Actor::new("spawn")?;
    actor.words()?;
    let mut outcomes = Outcomes::default();
    let (mut last, mut found) = (actor.pid(), 0);
    let start = Instant::now();
    // Where children are seldom met, fewer will do.
    while found < 300 && (found < 20 || start.elapsed() < Duration::from_secs(10)) {
        let pid = until("another child", || child_after(actor.pid(), last))?;
        (last, found) = (pid, found + 1);
        outcomes.add(&source.read(pid, Wants::default()))?;
    }
    note(&format!("children of vfork: {:?}", outcomes.0));
    // Even the parent's memory counts, as long as its name comes with it.
    ensure(outcomes.of("read") + outcomes.of("called exec") > 0, || format!("{:?}", outcomes.0))
}

/// The process that was created last, when it is a child of this one and not the last that was found: so few files are read that
/// a child of which nothing is left after a moment is met.
fn child_after(parent: u32, last: u32) -> Option<u32> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let newest = load.split_whitespace().nth(4)?.parse().ok().filter(|pid| *pid != last)?;
    let stat = fs::read_to_string(format!("/proc/{newest}/stat")).ok()?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let its_parent = fields.split_whitespace().nth(1)?;
    (its_parent == parent.to_string()).then_some(newest)
}
