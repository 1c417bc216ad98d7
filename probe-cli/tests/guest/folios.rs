//! The orders of the folios that leaves map, against /proc/kpageflags.

use std::{collections::HashMap, fs, fs::File};

use libtest_mimic::{Failed, Trial};
use walkprobe::model::leaf::{LeafKind, LeafSize, Run};

use crate::{
    compare::{Entry, Place, checked, words},
    frames::{COMPOUND_HEAD, COMPOUND_TAIL},
    leaves::{reads_by_loads, scan_folios},
    memory::{Area, Backing, PAGE, PMD, PUD},
    need,
    run::{ensure, guest},
};

/// What memory of processes has: it is on an LRU list, anonymous, or hugetlb
/// (include/uapi/linux/kernel-page-flags.h).
const MEMORY: u64 = 1 << 5 | 1 << 12 | 1 << 17;

pub(crate) fn trials() -> Vec<Trial> {
    [
        need::trial("folios_by_plain_loads", None, plain_loads),
        need::trial("folios_of_thp", need::thp(), thp),
        need::trial("folios_of_64k", need::small_thp(), small),
        need::trial("folios_of_hugetlb_1g", need::hugetlb(PUD, 1), hugetlb),
    ]
    .into()
}

/// Compares the order of each page that is mapped with the flags of its frame, of the frames beside it in
/// the folio, and of the one behind.
pub(crate) fn check(place: &Place, runs: &[Run], pagemap: &[Entry]) -> Result<(), Failed> {
    let kpageflags = File::open("/proc/kpageflags")?;
    let mut known = HashMap::new();
    for run in runs {
        if !matches!(run.kind, LeafKind::Present | LeafKind::ProtNone) {
            ensure(run.folio_order.is_none(), || format!("an order of {run:?}"))?;
            continue;
        }
        let first = usize::try_from((run.start - place.range.start) / PAGE as u64)?;
        let pages = usize::try_from(run.bytes() / PAGE as u64)?;
        for (number, entry) in pagemap[first..first + pages].iter().enumerate() {
            let Some(order) = run.folio_order else {
                // Right for a bare frame of the kernel's, such as those of `[vvar]`.
                let flags = words(&kpageflags, entry.frame(), 1)?[0];
                ensure(flags & MEMORY == 0, || format!("no order of page {number} of {run:?}"))?;
                continue;
            };
            // A folio lies at a multiple of its size.
            let head = entry.frame() >> order << order;
            let right = match known.get(&(head, order)) {
                Some(&right) => right,
                None => *known.entry((head, order)).or_insert(is_folio(&kpageflags, head, order)?),
            };
            ensure(right, || format!("page {number} of {run:?}: {:#x} is not so", entry.frame()))?;
        }
    }
    Ok(())
}

/// Whether the frames are one whole folio.
fn is_folio(kpageflags: &File, head: u64, order: u8) -> Result<bool, Failed> {
    let pages = 1_usize << order;
    // Behind the last folio of the memory there can be nothing.
    let flags = words(kpageflags, head, pages + 1).or_else(|_| words(kpageflags, head, pages))?;
    let place = |flags: &u64| flags & (COMPOUND_HEAD | COMPOUND_TAIL);
    let first = if order == 0 { 0 } else { COMPOUND_HEAD };
    Ok(place(&flags[0]) == first
        && flags[1..pages].iter().all(|flags| place(flags) == COMPOUND_TAIL)
        && flags.get(pages).is_none_or(|flags| place(flags) != COMPOUND_TAIL))
}

/// Bytes of leaves of a size that map folios of an order.
fn bytes(area: &Area, size: LeafSize, order: u8) -> Result<u64, Failed> {
    let runs = scan_folios(area)?;
    let chosen = runs.iter().filter(|run| run.size == size && run.folio_order == Some(order));
    Ok(chosen.map(Run::bytes).sum())
}

/// Every kernel here but 6.1 has `bpf_rdonly_cast` (Linux 6.2).
fn plain_loads() -> Result<(), Failed> {
    let expected = guest().is_none_or(|series| series != "6.1");
    ensure(reads_by_loads()? == expected, || format!("not {expected}"))
}

fn thp() -> Result<(), Failed> {
    let area = Area::huge(4 * PMD)?.ok_or("THP is switched off")?;
    area.write(0..4 * PMD);
    let whole = bytes(&area, LeafSize::PMD, 9)?;
    area.forbid(PAGE..2 * PAGE)?;
    checked(&area)?;
    let (left, by_ptes) = (bytes(&area, LeafSize::PMD, 9)?, bytes(&area, LeafSize::BASE, 9)?);
    // Unless memory is fragmented all four are; the first one is now mapped by PTEs, as the same folio.
    ensure(whole == left + by_ptes && by_ptes == PMD as u64, || {
        format!("{whole} bytes, then {left} and {by_ptes}")
    })
}

fn small() -> Result<(), Failed> {
    let switch = "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled";
    let before = fs::read_to_string(switch)?;
    fs::write(switch, "always")?;
    // Too short for a THP.
    let area = Area::new(PMD / 2, Backing::Anonymous)?;
    area.write(0..area.length());
    let active = before.split(['[', ']']).nth(1).ok_or("no mode in brackets")?;
    fs::write(switch, active)?;
    checked(&area)?;
    let found = bytes(&area, LeafSize::BASE, 4)?;
    ensure(found > 0, || format!("no folio of 64 KiB: {:?}", scan_folios(&area)))
}

fn hugetlb() -> Result<(), Failed> {
    let area = Area::hugetlb(PUD, PUD)?.ok_or("no hugetlb page")?;
    area.write(0..PAGE);
    let found = bytes(&area, LeafSize::PUD, 18)?;
    ensure(found == PUD as u64, || format!("{:?}", scan_folios(&area)))
}
