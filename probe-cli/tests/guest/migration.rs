//! Migration entries at rest.
//!
//! A thread moves memory between two nodes for ever. Another one with a real-time priority sleeps on
//! the same CPU, and wakes now and then in the middle of a move. While it is awake the first one
//! does not run, so what stands in the page tables then stays until it has been looked at.

use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use walkprobe::model::leaf::{LeafKind, LeafSize};

use crate::{
    compare::{bytes, pagemap, pages},
    leaves::scan,
    memory::{Area, PAGE, PMD},
    need, nodes,
    run::ensure,
    threads::{pin, real_time},
};

pub(crate) fn trials() -> Vec<Trial> {
    let hugetlb = need::nodes().or_else(|| need::hugetlb(PMD, 8));
    [
        need::trial("migration", need::nodes(), || base_pages(&Area::base(2 * PMD)?)),
        need::trial("migration_of_thp", need::nodes().or_else(need::thp), thp),
        need::trial("migration_of_hugetlb", hugetlb, hugetlb_pages),
    ]
    .into()
}

/// How often the second thread looks at most.
const LOOKS: u64 = 20_000;
/// In how many different states it must have seen migration entries.
const SIGHTINGS: usize = 5;
/// How long it sleeps at most.
const SLEEP_MICROSECONDS: u64 = 3000;

fn base_pages(area: &Area) -> Result<(), Failed> {
    area.write(0..area.length());
    let seen = watch(area, PAGE)?;
    ensure(seen.keys().all(|&size| size == LeafSize::BASE), || format!("{seen:?}"))
}

fn thp() -> Result<(), Failed> {
    let area = Area::huge(2 * PMD)?.ok_or("THP is switched off")?;
    area.write(0..2 * PMD);
    let seen = watch(&area, PMD)?;
    ensure(seen.contains_key(&LeafSize::PMD), || format!("no PMD entry: {seen:?}"))
}

fn hugetlb_pages() -> Result<(), Failed> {
    let area = Area::hugetlb(4 * PMD, PMD)?.ok_or("the pool is empty")?;
    area.write(0..4 * PMD);
    let seen = watch(&area, PMD)?;
    ensure(seen.keys().all(|&size| size == LeafSize::PMD), || format!("{seen:?}"))
}

/// Moves an area's pages of `step` bytes while looking at them; gives how many migration entries of
/// each size were seen, which are some.
fn watch(area: &Area, step: usize) -> Result<BTreeMap<LeafSize, u64>, Failed> {
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let mover = scope.spawn(|| -> io::Result<()> {
            pin(0)?;
            for node in [1, 0].into_iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                nodes::move_to(area, step, node)?;
            }
            Ok(())
        });
        let looker = scope.spawn(|| {
            let seen = look(area);
            done.store(true, Ordering::Relaxed);
            seen
        });
        let seen = looker.join().map_err(|_| "the looking thread panicked")?;
        mover.join().map_err(|_| "the moving thread panicked")??;
        seen
    })?;
    ensure(seen.values().sum::<u64>() > 0, || "no migration entry was seen".to_owned())?;
    Ok(seen)
}

fn look(area: &Area) -> Result<BTreeMap<LeafSize, u64>, Failed> {
    pin(0)?;
    real_time()?;
    let mut seen = BTreeMap::new();
    let mut sightings = Vec::new();
    let mut random = 0x9e37_79b9_u64;
    for _ in 0..LOOKS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_micros((random >> 33) % SLEEP_MICROSECONDS));
        let before = pagemap(&area.range())?;
        if before.iter().all(|page| page.is_present()) || sightings.contains(&before) {
            continue;
        }
        let runs = scan(area)?;
        // The moving thread only runs when the kernel holds this one back for having run too long.
        if pagemap(&area.range())? != before {
            continue;
        }
        pages(&area.into(), &runs, &before)?;
        let kinds = bytes(&runs);
        ensure(
            kinds.keys().all(|(kind, _)| matches!(kind, LeafKind::Present | LeafKind::Migration)),
            || format!("{kinds:?}"),
        )?;
        for ((_, size), bytes) in kinds.iter().filter(|((kind, _), _)| *kind == LeafKind::Migration)
        {
            *seen.entry(*size).or_default() += bytes / size.bytes();
        }
        sightings.push(before);
        if sightings.len() == SIGHTINGS {
            return Ok(seen);
        }
    }
    Err(format!("only {} sightings of migration entries: {seen:?}", sightings.len()).into())
}
