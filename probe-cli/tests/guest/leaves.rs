//! The scan of page tables against the kernel's own interfaces, page by page, on memory of this
//! process with every kind of leaf that can be made here.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    ops::Range,
    os::unix::fs::FileExt as _,
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
    memory::{Area, PAGE, PMD, PUD},
    run::{ensure, guest},
};

pub(crate) fn trials() -> Vec<Trial> {
    type Test = fn() -> Result<(), Failed>;
    let tests: [(&str, Test); 11] = [
        ("base_pages", base_pages),
        ("sparse_pages", sparse_pages),
        ("zero_pages", zero_pages),
        ("prot_none", prot_none),
        ("thp", thp),
        ("thp_mapped_by_ptes", thp_mapped_by_ptes),
        ("huge_zero_page", huge_zero_page),
        ("hugetlb_2m", hugetlb_2m),
        ("hugetlb_1g", hugetlb_1g),
        ("guard_regions", guard_regions),
        ("untouched_terabyte", untouched_terabyte),
    ];
    // There is no loop helper before Linux 5.17.
    let too_old = guest().is_some_and(|series| series == "5.10");
    tests
        .map(|(name, test)| Trial::test(format!("leaves::{name}"), test).with_ignored_flag(too_old))
        .into()
}

/// One scanner for all tests.
static SCANNER: LazyLock<Mutex<Result<Scanner, String>>> =
    LazyLock::new(|| Mutex::new(Scanner::open(&gather_btf()).map_err(|error| error.to_string())));

/// What the scan says of an area: runs without gaps, in order.
fn scan(area: &Area) -> Result<Vec<Run>, Failed> {
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
    let effort = scanner.walk(&space, &[area.range()], Wants::default(), |_, run| {
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

/// Bytes by kind and leaf size.
fn bytes(runs: &[Run]) -> BTreeMap<(LeafKind, LeafSize), u64> {
    let mut bytes = BTreeMap::new();
    for run in runs {
        *bytes.entry((run.kind, run.size)).or_default() += run.bytes();
    }
    bytes
}

/// Scans an area, and compares it page by page with pagemap and in sum with smaps.
fn checked(area: &Area) -> Result<BTreeMap<(LeafKind, LeafSize), u64>, Failed> {
    let runs = scan(area)?;
    let pagemap = pagemap(area.range())?;
    for run in &runs {
        for page in run.range().step_by(PAGE) {
            let index = usize::try_from((page - area.range().start) / PAGE as u64)?;
            let (present, swapped) = (pagemap[index] >> 63 != 0, pagemap[index] >> 62 & 1 != 0);
            let agrees = match run.kind {
                LeafKind::Hole => !present && !swapped,
                LeafKind::Present | LeafKind::Zero | LeafKind::ProtNone => present,
                // pagemap shows every other entry as swapped.
                _ => swapped,
            };
            ensure(agrees, || format!("{page:#x}: {run:?}, pagemap {:#x}", pagemap[index]))?;
        }
    }
    let huge: u64 = runs
        .iter()
        .filter(|run| run.kind == LeafKind::Present && run.size == LeafSize::PMD)
        .map(Run::bytes)
        .sum();
    let smaps = smaps(
        area.range(),
        &["AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Private_Hugetlb", "Shared_Hugetlb"],
    )?;
    let gigantic = runs.iter().filter(|run| run.size == LeafSize::PUD).map(Run::bytes).sum::<u64>();
    ensure(huge + gigantic == smaps, || {
        format!("{huge} bytes in huge leaves, {smaps} in smaps: {runs:?}")
    })?;
    Ok(bytes(&runs))
}

/// The pagemap entries of a range.
fn pagemap(range: Range<u64>) -> Result<Vec<u64>, Failed> {
    let pages = usize::try_from((range.end - range.start) / PAGE as u64)?;
    let mut bytes = vec![0; pages * 8];
    File::open("/proc/self/pagemap")?.read_exact_at(&mut bytes, range.start / PAGE as u64 * 8)?;
    Ok(bytes
        .chunks_exact(8)
        .map(|entry| entry.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
        .collect())
}

/// The sum of these fields of smaps in bytes, over the VMAs that lie in a range.
fn smaps(range: Range<u64>, fields: &[&str]) -> Result<u64, Failed> {
    let mut text = String::new();
    File::open("/proc/self/smaps")?.read_to_string(&mut text)?;
    let (mut inside, mut sum) = (false, 0);
    for line in text.lines() {
        let first = line.split_ascii_whitespace().next().unwrap_or("");
        if let Some((start, end)) = first.split_once('-')
            && let (Ok(start), Ok(end)) =
                (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        {
            inside = range.start <= start && end <= range.end;
        } else if inside && fields.contains(&first.trim_end_matches(':')) {
            sum += line.split_ascii_whitespace().nth(1).unwrap_or("0").parse::<u64>()? << 10;
        }
    }
    Ok(sum)
}

fn expect(
    found: &BTreeMap<(LeafKind, LeafSize), u64>,
    expected: &[((LeafKind, LeafSize), usize)],
) -> Result<(), Failed> {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|&(kind, bytes)| (kind, bytes as u64)).collect();
    ensure(*found == expected, || format!("{found:?} instead of {expected:?}"))
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
    let Some(area) = Area::huge(4 * PMD)? else { return Ok(()) };
    area.write(0..2 * PMD);
    let found = checked(&area)?;
    // Where memory is fragmented some can be base pages; the sum is the same.
    let mapped: u64 = found.iter().filter(|((kind, _), _)| kind.is_mapped()).map(|(_, b)| b).sum();
    ensure(mapped == 2 * PMD as u64, || format!("{found:?}"))
}

fn thp_mapped_by_ptes() -> Result<(), Failed> {
    let Some(area) = Area::huge(2 * PMD)? else { return Ok(()) };
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
    let Some(area) = Area::huge(2 * PMD)? else { return Ok(()) };
    area.read(0..PAGE);
    let found = bytes(&scan(&area)?);
    // Without the huge page of zeroes the kernel maps an empty THP, or one base page.
    let zero = found.get(&(LeafKind::Zero, LeafSize::PMD)) == Some(&(PMD as u64));
    let use_zero = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/use_zero_page")?;
    ensure(zero == (use_zero.trim() == "1"), || format!("use_zero_page {use_zero}: {found:?}"))?;
    // smaps does not count it.
    ensure(smaps(area.range(), &["AnonHugePages"])? == 0, || "smaps counts it".to_owned())
}

fn hugetlb_2m() -> Result<(), Failed> {
    let Some(area) = Area::hugetlb(4 * PMD, PMD)? else { return Ok(()) };
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
    let Some(area) = Area::hugetlb(PUD, PUD)? else { return Ok(()) };
    expect(&checked(&area)?, &[((LeafKind::Hole, LeafSize::BASE), PUD)])?;
    area.write(0..PAGE);
    expect(&bytes(&scan(&area)?), &[((LeafKind::Present, LeafSize::PUD), PUD)])
}

fn guard_regions() -> Result<(), Failed> {
    let area = Area::base(PMD)?;
    area.write(0..PMD);
    if !area.guard(4 * PAGE..6 * PAGE)? {
        return Ok(()); // before Linux 6.13
    }
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
