//! Maps that live: at each quiet point of a storm the map that events have kept up to date is the one that a scan finds.
//!
//! Nothing is read in turn here, so whatever no event told of would stay wrong.

use std::{cell::RefCell, fmt::Write as _, thread, time::Duration};

use libtest_mimic::{Failed, Trial};
use walkprobe::{
    live::source::LiveSource,
    maps::{
        history,
        source::{MapSource as _, Wants},
    },
    model::{
        diff::{Change, diff},
        set::TranslationSet,
    },
    probe::RING_BYTES,
    track::map::Tracked,
    units,
};

use crate::{
    child::until,
    need,
    quiet::{all_sleep, stop_background},
    run::{ensure, guest, note},
    storm::{self, Summary, Weather, seeds},
    watcher::{Seen, TICKS, Watcher},
};

/// Seeds that are tried unless told otherwise; each is another process, so many are worth more than long ones.
const SEEDS: u64 = 3;
/// Of each thread; a quiet point after each hundred.
const OPERATIONS: u64 = 300;

/// Where calls were not shown one operation of so many may be read later than is promised.
const LATE: u64 = 50;

/// So small that most events are lost.
const SMALL_RING: u32 = 4 << 10;

/// How often the process may be changed by others while it is compared.
const ATTEMPTS: u32 = 50;

pub(crate) fn trials() -> Vec<Trial> {
    let lack = need::loops();
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        Trial::test(format!("live::{name}"), test)
            .with_ignored_flag(lack.is_some())
            .with_kind(lack.clone().unwrap_or_default())
    };
    vec![
        trial("a_map_follows_a_storm", || storm(RING_BYTES)),
        trial("losses_are_healed", || storm(SMALL_RING)),
    ]
}

fn storm(ring_bytes: u32) -> Result<(), Failed> {
    let weather = Weather::new()?;
    let mut summary = Summary::default();
    let mut fresh = LiveSource::open(Wants::default());
    let mut total = Seen::default();
    let mut points = 0;
    let watcher = RefCell::new(Watcher::begin(Vec::new(), ring_bytes));
    for seed in seeds(SEEDS)? {
        let arguments = weather.arguments(seed, OPERATIONS);
        let begin = |pid| watcher.borrow_mut().watch(pid);
        let outcome = storm::one(&arguments, &mut summary, begin, |pid| {
            points += 1;
            compare(pid, &mut watcher.borrow_mut(), &mut fresh)
        });
        let seen = watcher.borrow_mut().leave()?;
        outcome.map_err(|failed| {
            let why = failed.message().unwrap_or_default();
            format!(
                "walkprobe workload storm {}: {why}; unseen: {:?}",
                arguments.join(" "),
                seen.unseen
            )
        })?;
        // Silence would look like a test that hangs.
        note(&format!("seed {seed}: the map was right at its quiet points"));
        total.join(seen);
    }
    report(&mut total, points);
    let is_small = ring_bytes == SMALL_RING;
    let late: u64 =
        total.ticks.iter().filter(|(ticks, _)| **ticks > TICKS).map(|(_, number)| number).sum();
    // Everything is read where calls were not shown, which can take longer than a tick.
    let allowed = if total.lost > 0 { total.transactions / LATE } else { 0 };
    // With losses everything is read at each tick, and an event can be told when its effect has long been read.
    ensure(is_small || late <= allowed, || {
        format!("{late} were read after more than {TICKS} ticks:\n  {}", total.late.join("\n  "))
    })?;
    ensure(!is_small || guest().is_none() || total.lost > 0, || "nothing was lost".to_owned())?;
    // Where events are lost, or are not to be had, much is unseen.
    let blind = is_small || guest().is_none() || total.lost > 0;
    ensure(blind || total.unseen.is_empty(), || format!("no event told of {:?}", total.unseen))
}

/// The map that lives and a fresh scan, at a moment when nothing moves.
fn compare(pid: u32, watcher: &mut Watcher, fresh: &mut LiveSource) -> Result<(), Failed> {
    until("sleep of all threads", || all_sleep(pid))?;
    let _stopped = stop_background()?;
    let mut scan = |what| -> Result<TranslationSet, Failed> {
        let set = fresh.read(pid, Wants::default()).map_err(anyhow::Error::new)?;
        let torn = set.origin().torn;
        ensure(torn == 0, || format!("{torn} torn {what}"))?;
        Ok(set)
    };
    for _ in 0..ATTEMPTS {
        let before = scan("before")?;
        let map = watcher.map()?;
        let after = scan("after")?;
        if !diff(&before, &after).is_empty() {
            continue;
        }
        let told = map.snapshot();
        let difference = diff(&told, &after);
        let vmas = map.vmas().eq(after.vmas());
        // Where nothing tells of changes, everything is read again, but not at each tick.
        if guest().is_none() && !(vmas && difference.is_empty()) {
            thread::sleep(Duration::from_millis(50));
            continue;
        }
        return ensure(difference.is_empty() && vmas, || {
            let changes: Vec<String> =
                difference.changes.iter().take(4).map(|change| explained(&map, change)).collect();
            let (number, changes) = (difference.changes.len(), changes.join("\n"));
            let later = later(&map, watcher, &after);
            format!("wrong in {number} places, VMAs equal: {vmas}\n{changes}\n{later}")
        });
    }
    Err(format!("{ATTEMPTS} attempts, and the map is not that of a scan").into())
}

/// What the map knows of a place where it is wrong.
fn explained(map: &Tracked, change: &Change<'_>) -> String {
    let Change { range, before, after, vma } = change;
    let mut text = format!("{range:#x?} {before} is {after} in {:x?} {}", vma.range(), vma.kind);
    for (part, piece) in map.pieces(range).iter().take(4) {
        let _ = write!(text, "\n  {part:x?} {piece:?}");
    }
    let table = range.start & !((2 << 20) - 1)..range.end;
    let concerned = map.transactions().iter().rev().filter(|one| one.concerns(&table)).take(12);
    for transaction in concerned {
        let (number, settled) = (transaction.number, transaction.settled);
        let line = history::line(transaction, map.pid(), 0);
        let _ = write!(text, "\n  {number} {line}, settled {settled:?}");
    }
    text
}

/// What a moment later is known, and was not when it should have been.
fn later(before: &Tracked, watcher: &mut Watcher, scan: &TranslationSet) -> String {
    thread::sleep(Duration::from_millis(500));
    let Ok(map) = watcher.map() else { return "then there was no map".to_owned() };
    let number = diff(&map.snapshot(), scan).changes.len();
    let last = before.transactions().back().map_or(0, |last| last.number);
    let mut text = format!("a moment later it was wrong in {number} places, and told:");
    for transaction in map.transactions().iter().filter(|one| one.number > last).take(12) {
        let _ = write!(text, "\n  {}", history::line(transaction, map.pid(), 0));
    }
    text
}

fn report(total: &mut Seen, points: u64) {
    total.delays.sort_unstable();
    let delay = |share: usize| {
        let place = (total.delays.len() * share / 100).min(total.delays.len().saturating_sub(1));
        total.delays.get(place).map_or_else(|| "none".to_owned(), |&ns| units::duration(ns))
    };
    let at_most = |ms: u64| {
        let within = total.delays.partition_point(|&ns| ns <= ms * 1_000_000);
        format!("{within} within {ms} ms")
    };
    let histogram: Vec<String> = [125, 250, 375, 500, 1000].map(at_most).into();
    note(&format!("how long after an operation its effect was read: {}", histogram.join(", ")));
    note(&format!(
        "{points} quiet points, {} transactions, {} readings, {} events lost; read after: median {}, 99 % {}, at \
         most {}; by the tick at which it was read: {:?}; unseen: {:?}",
        total.transactions,
        total.readings,
        total.lost,
        delay(50),
        delay(99),
        delay(100),
        total.ticks,
        total.unseen,
    ));
}
