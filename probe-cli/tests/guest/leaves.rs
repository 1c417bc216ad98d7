//! The scan of page tables against the kernel's own interfaces, page by page, on memory of this
//! process with the leaves that every kernel makes.

use std::{
    fs::File,
    sync::{LazyLock, Mutex},
};

use libtest_mimic::{Failed, Trial};
use walkprobe::{
    kernel::gather::gather_btf,
    model::{
        leaf::{LeafKind, LeafSize, Run},
        set::Wants,
    },
    probe::scan::Scanner,
};

use crate::{
    compare::{checked, expect, smaps},
    memory::{Area, PAGE, PMD, PUD},
    need,
    run::ensure,
};

pub(crate) fn trials() -> Vec<Trial> {
    [
        need::trial("base_pages", None, base_pages),
        need::trial("sparse_pages", None, sparse_pages),
        need::trial("zero_pages", None, zero_pages),
        need::trial("prot_none", None, prot_none),
        need::trial("thp", need::thp(), thp),
        need::trial("thp_mapped_by_ptes", need::thp(), thp_mapped_by_ptes),
        need::trial("huge_zero_page", need::thp(), huge_zero_page),
        need::trial("hugetlb_2m", need::hugetlb(PMD, 4), hugetlb_2m),
        need::trial("hugetlb_1g", need::hugetlb(PUD, 1), hugetlb_1g),
        need::trial("guard_regions", need::guard(), guard_regions),
        need::trial("untouched_terabyte", None, untouched_terabyte),
    ]
    .into()
}

/// One scanner for all tests.
static SCANNER: LazyLock<Mutex<Result<Scanner, String>>> = LazyLock::new(|| {
    Mutex::new(Scanner::open_for_folios(gather_btf).map_err(|error| error.to_string()))
});

/// What the scan says of an area: runs without gaps, in order.
pub(crate) fn scan(area: &Area) -> Result<Vec<Run>, Failed> {
    scan_for(area, Wants::default())
}

/// Whether the scanner of the tests reads page structs by plain loads.
pub(crate) fn reads_by_loads() -> Result<bool, Failed> {
    let scanner = SCANNER.lock().map_err(|_| "another test panicked")?;
    Ok(scanner.as_ref().map_err(String::clone)?.reads_by_loads())
}

/// The same with the orders of folios.
pub(crate) fn scan_folios(area: &Area) -> Result<Vec<Run>, Failed> {
    scan_for(area, Wants { folios: true, ..Wants::default() })
}

/// The same with marks.
pub(crate) fn scan_marks(area: &Area) -> Result<Vec<Run>, Failed> {
    scan_for(area, Wants { marks: true, ..Wants::default() })
}

fn scan_for(area: &Area, wants: Wants) -> Result<Vec<Run>, Failed> {
    let mut scanner = SCANNER.lock().map_err(|_| "another test panicked")?;
    let scanner = scanner.as_mut().map_err(|error| error.clone())?;
    let space = scanner.resolve(File::open("/proc/self/pagemap")?)?;
    let mut runs: Vec<Run> = Vec::new();
    let mut at = area.range().start;
    let hole = |start: u64, end: u64| Run {
        start,
        size: LeafSize::BASE,
        count: (end - start) / PAGE as u64,
        kind: LeafKind::Hole,
        folio_order: None,
        marks: None,
    };
    let effort = scanner.walk(&space, &[area.range()], wants, |_, run| {
        if run.start > at {
            runs.push(hole(at, run.start));
        }
        at = run.end();
        runs.push(run);
    })?;
    if at < area.range().end {
        runs.push(hole(at, area.range().end));
    }
    ensure(effort.torn == 0, || format!("torn at rest: {effort:?}"))?;
    Ok(runs)
}

fn base_pages() -> Result<(), Failed> {
    let area = Area::base(3 * PMD)?;
    area.write(0..3 * PMD);
    let runs = scan(&area)?;
    ensure(runs.len() == 1, || format!("not one run: {runs:?}"))?;
    expect(&checked(&area)?, &[((LeafKind::Present, LeafSize::BASE), 3 * PMD)])
}

fn sparse_pages() -> Result<(), Failed> {
    // Every third page, and one that begins and ends in the middle of tables.
    let area = Area::base(5 * PMD)?;
    for page in (0..5 * PMD / PAGE).filter(|page| page % 3 == 1) {
        area.write(page * PAGE..(page + 1) * PAGE);
    }
    let present = (0..5 * PMD / PAGE).filter(|page| page % 3 == 1).count() * PAGE;
    let part = area.part(7 * PAGE..4 * PMD + 9 * PAGE);
    checked(&part)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::BASE), present),
            ((LeafKind::Hole, LeafSize::BASE), 5 * PMD - present),
        ],
    )
}

fn zero_pages() -> Result<(), Failed> {
    let area = Area::base(2 * PMD)?;
    area.read(0..PMD);
    area.write(PMD / 2..PMD / 2 + 4 * PAGE);
    // They stay what they are when they trap.
    area.forbid(2 * PAGE..5 * PAGE)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Zero, LeafSize::BASE), PMD - 4 * PAGE),
            ((LeafKind::Present, LeafSize::BASE), 4 * PAGE),
            ((LeafKind::Hole, LeafSize::BASE), PMD),
        ],
    )
}

fn prot_none() -> Result<(), Failed> {
    let area = Area::base(PMD)?;
    area.write(0..PMD);
    area.forbid(PAGE..3 * PAGE)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::ProtNone, LeafSize::BASE), 2 * PAGE),
            ((LeafKind::Present, LeafSize::BASE), PMD - 2 * PAGE),
        ],
    )
}

fn thp() -> Result<(), Failed> {
    let area = Area::huge(4 * PMD)?.ok_or("THP is switched off")?;
    area.write(0..2 * PMD);
    let found = checked(&area)?;
    // Where memory is fragmented some can be base pages; the sum is the same.
    let mapped: u64 = found.iter().filter(|((kind, _), _)| kind.is_mapped()).map(|(_, b)| b).sum();
    ensure(mapped == 2 * PMD as u64, || format!("{found:?}"))
}

fn thp_mapped_by_ptes() -> Result<(), Failed> {
    let area = Area::huge(2 * PMD)?.ok_or("THP is switched off")?;
    area.write(0..2 * PMD);
    area.forbid(PAGE..2 * PAGE)?;
    let found = checked(&area)?;
    let by_ptes = found.get(&(LeafKind::Present, LeafSize::BASE)).copied().unwrap_or(0);
    ensure(by_ptes >= (PMD - PAGE) as u64, || format!("{found:?}"))?;
    ensure(found.get(&(LeafKind::ProtNone, LeafSize::BASE)) == Some(&(PAGE as u64)), || {
        format!("{found:?}")
    })
}

fn huge_zero_page() -> Result<(), Failed> {
    let area = Area::huge(2 * PMD)?.ok_or("THP is switched off")?;
    area.read(0..PAGE);
    let found = checked(&area)?;
    // Without the huge page of zeroes the kernel maps an empty THP, or one base page.
    let zero = found.get(&(LeafKind::Zero, LeafSize::PMD)) == Some(&(PMD as u64));
    let use_zero = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/use_zero_page")?;
    ensure(zero == (use_zero.trim() == "1"), || format!("use_zero_page {use_zero}: {found:?}"))?;
    // smaps does not count it.
    ensure(smaps(&area, &["AnonHugePages"])? == 0, || "smaps counts it".to_owned())
}

fn hugetlb_2m() -> Result<(), Failed> {
    let area = Area::hugetlb(4 * PMD, PMD)?.ok_or("the pool is empty")?;
    area.write(PMD..3 * PMD);
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::PMD), 2 * PMD),
            ((LeafKind::Hole, LeafSize::BASE), 2 * PMD),
        ],
    )
}

fn hugetlb_1g() -> Result<(), Failed> {
    let area = Area::hugetlb(PUD, PUD)?.ok_or("the pool is empty")?;
    expect(&checked(&area)?, &[((LeafKind::Hole, LeafSize::BASE), PUD)])?;
    area.write(0..PAGE);
    expect(&checked(&area)?, &[((LeafKind::Present, LeafSize::PUD), PUD)])
}

fn guard_regions() -> Result<(), Failed> {
    let area = Area::base(PMD)?;
    area.write(0..PMD);
    area.guard(4 * PAGE..6 * PAGE)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Guard, LeafSize::BASE), 2 * PAGE),
            ((LeafKind::Present, LeafSize::BASE), PMD - 2 * PAGE),
        ],
    )
}

fn untouched_terabyte() -> Result<(), Failed> {
    let area = Area::base(1 << 40)?;
    area.write(1 << 39..(1 << 39) + PAGE);
    let runs = scan(&area)?;
    ensure(runs.len() == 3 && runs[1].count == 1, || format!("{runs:?}"))
}
