//! What userfaultfd leaves in page tables: marks on entries, markers where nothing is, poison.

use std::os::fd::AsFd as _;

use libtest_mimic::{Failed, Trial};
use walkprobe::model::leaf::{LeafKind, LeafSize, Run};

use crate::{
    compare::{checked, expect, pagemap},
    files,
    leaves::scan_marks,
    memory::{Area, Backing, PAGE, PMD},
    need,
    run::ensure,
    uffd::{Feature, Uffd},
};

const PROTECT: &[Feature] = &[Feature::PagefaultFlagWp];
const SHARED: &[Feature] = &[Feature::PagefaultFlagWp, Feature::WpHugetlbfsShmem];
const UNPOPULATED: &[Feature] = &[Feature::PagefaultFlagWp, Feature::WpUnpopulated];

pub(crate) fn trials() -> Vec<Trial> {
    let uffd = need::userfaultfd;
    let hugetlb = |features| need::userfaultfd(features).or_else(|| need::hugetlb(PMD, 4));
    [
        need::trial("uffd_wp_of_base_pages", uffd(PROTECT), base_pages),
        need::trial("uffd_wp_of_thp", uffd(PROTECT).or_else(need::thp), thp),
        need::trial("uffd_wp_where_nothing_is", uffd(UNPOPULATED), unpopulated),
        need::trial("uffd_wp_of_shmem", uffd(SHARED), shmem),
        need::trial("uffd_wp_of_hugetlb", hugetlb(SHARED), hugetlb_protected),
        need::trial("uffd_poison", uffd(&[Feature::Poison]), poison),
        need::trial("uffd_poison_of_hugetlb", hugetlb(&[Feature::Poison]), hugetlb_poisoned),
    ]
    .into()
}

/// Bytes of the leaves that userfaultfd write-protects. pagemap says so too, page by page.
pub(crate) fn protected(area: &Area) -> Result<u64, Failed> {
    let runs = scan_marks(area)?;
    let marked = |run: &Run| run.marks.map_or(0, |marks| marks.uffd_wp) << run.size.shift();
    let pagemap = pagemap(&area.range())?;
    for run in &runs {
        let first = usize::try_from((run.start - area.range().start) / PAGE as u64)?;
        let pages = usize::try_from(run.bytes() / PAGE as u64)?;
        let told = pagemap[first..first + pages].iter().filter(|page| page.is_write_protected());
        let told = (told.count() * PAGE) as u64;
        // A marker is nothing but that mark, and not counted as one.
        let found = if run.kind == LeafKind::UffdWp { run.bytes() } else { marked(run) };
        ensure(told == found, || format!("{run:?}: pagemap has {told} marked bytes"))?;
    }
    Ok(runs.iter().map(marked).sum())
}

fn base_pages() -> Result<(), Failed> {
    let area = Area::base(PMD)?;
    area.write(0..PMD);
    let uffd = Uffd::to_protect(&area, PROTECT)?;
    ensure(protected(&area)? == 0, || "marked before anything was".to_owned())?;
    uffd.protect(&area, 3 * PAGE..10 * PAGE)?;
    expect(&checked(&area)?, &[((LeafKind::Present, LeafSize::BASE), PMD)])?;
    let found = protected(&area)?;
    ensure(found == 7 * PAGE as u64, || format!("{found} bytes are marked"))
}

fn thp() -> Result<(), Failed> {
    let area = Area::huge(2 * PMD)?.ok_or("THP is switched off")?;
    area.write(0..2 * PMD);
    expect(&checked(&area)?, &[((LeafKind::Present, LeafSize::PMD), 2 * PMD)])?;
    let uffd = Uffd::to_protect(&area, PROTECT)?;
    uffd.protect(&area, 0..PMD)?;
    expect(&checked(&area)?, &[((LeafKind::Present, LeafSize::PMD), 2 * PMD)])?;
    let found = protected(&area)?;
    ensure(found == PMD as u64, || format!("{found} bytes are marked"))?;
    // One page of the other THP: PTEs map it from then on.
    uffd.protect(&area, PMD..PMD + PAGE)?;
    expect(
        &checked(&area)?,
        &[((LeafKind::Present, LeafSize::PMD), PMD), ((LeafKind::Present, LeafSize::BASE), PMD)],
    )?;
    let found = protected(&area)?;
    ensure(found == (PMD + PAGE) as u64, || format!("{found} bytes are marked"))
}

fn unpopulated() -> Result<(), Failed> {
    let area = Area::base(2 * PMD)?;
    area.write(0..4 * PAGE);
    let uffd = Uffd::to_protect(&area, UNPOPULATED)?;
    uffd.protect(&area, 2 * PAGE..9 * PAGE)?;
    // A whole table.
    uffd.protect(&area, PMD..2 * PMD)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::BASE), 4 * PAGE),
            ((LeafKind::UffdWp, LeafSize::BASE), 5 * PAGE + PMD),
            ((LeafKind::Hole, LeafSize::BASE), PMD - 9 * PAGE),
        ],
    )?;
    let found = protected(&area)?;
    ensure(found == 2 * PAGE as u64, || format!("{found} bytes are marked"))
}

/// Of a page that is write-protected and taken out of the page table a marker stays
/// (mm/memory.c, `zap_install_uffd_wp_if_needed`).
fn shmem() -> Result<(), Failed> {
    let memfd = files::memfd(PMD, 0)?;
    let area = Area::new(PMD, Backing::Shared(memfd.as_fd()))?;
    area.write(0..PMD);
    let uffd = Uffd::to_protect(&area, SHARED)?;
    uffd.protect(&area, 0..16 * PAGE)?;
    expect(&checked(&area)?, &[((LeafKind::Present, LeafSize::BASE), PMD)])?;
    let found = protected(&area)?;
    ensure(found == 16 * PAGE as u64, || format!("{found} bytes are marked"))?;
    area.advise(8 * PAGE..32 * PAGE, libc::MADV_DONTNEED)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::BASE), PMD - 24 * PAGE),
            ((LeafKind::UffdWp, LeafSize::BASE), 8 * PAGE),
            ((LeafKind::Hole, LeafSize::BASE), 16 * PAGE),
        ],
    )?;
    let found = protected(&area)?;
    ensure(found == 8 * PAGE as u64, || format!("{found} bytes are marked"))
}

fn hugetlb_protected() -> Result<(), Failed> {
    let area = Area::hugetlb(4 * PMD, PMD)?.ok_or("the pool is empty")?;
    area.write(0..2 * PMD);
    let uffd = Uffd::to_protect(&area, SHARED)?;
    // One that is there, one that is not.
    uffd.protect(&area, PMD..3 * PMD)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::PMD), 2 * PMD),
            ((LeafKind::UffdWp, LeafSize::PMD), PMD),
            ((LeafKind::Hole, LeafSize::BASE), PMD),
        ],
    )?;
    let found = protected(&area)?;
    ensure(found == PMD as u64, || format!("{found} bytes are marked"))
}

fn poison() -> Result<(), Failed> {
    let area = Area::base(2 * PMD)?;
    area.write(0..PAGE);
    let uffd = Uffd::to_fill(&area, &[Feature::Poison])?;
    uffd.poison(&area, PAGE..6 * PAGE)?;
    uffd.poison(&area, PMD..2 * PMD)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::BASE), PAGE),
            ((LeafKind::UffdPoison, LeafSize::BASE), 5 * PAGE + PMD),
            ((LeafKind::Hole, LeafSize::BASE), PMD - 6 * PAGE),
        ],
    )
}

fn hugetlb_poisoned() -> Result<(), Failed> {
    let area = Area::hugetlb(4 * PMD, PMD)?.ok_or("the pool is empty")?;
    area.write(0..PMD);
    let uffd = Uffd::to_fill(&area, &[Feature::Poison])?;
    uffd.poison(&area, 2 * PMD..3 * PMD)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::PMD), PMD),
            ((LeafKind::UffdPoison, LeafSize::PMD), PMD),
            ((LeafKind::Hole, LeafSize::BASE), 2 * PMD),
        ],
    )
}
