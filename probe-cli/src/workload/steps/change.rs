//! Leaves that are removed, protected, moved and copied, and VMAs that come and go.

use std::ops::Range;

use probe_common::probe::Probe;

use crate::workload::{
    error::StepError,
    expected::{Done, Expected},
    memory::{Area, Ground, Kind},
    sys::{Advice, SleepingChild},
};

/// `count` base pages, each touched, with one more on both sides in the same VMA: what happens to the
/// whole VMA begins outside of them.
fn pages(ground: &Ground, count: usize) -> Result<(Area, Vec<Range<usize>>), StepError> {
    let area = ground.area(Kind::Base, count + 2)?;
    area.write_all();
    let inner = area.units().skip(1).take(count).collect();
    Ok((area, inner))
}

fn all(pages: &[Range<usize>]) -> Range<usize> {
    match pages {
        [first, .., last] => first.start..last.end,
        [one] => one.clone(),
        [] => 0..0,
    }
}

/// `madvise_dontneed_single_vma` (mm/madvise.c) zaps the range that it is given.
pub(in crate::workload) fn zap(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let (area, pages) = pages(ground, count)?;
    for page in &pages {
        area.advise(page, Advice::DontNeed)?;
    }
    let page = ground.machine.page;
    let expected =
        [Expected::of(Probe::MmFault, count), Expected::changes(Probe::Zap, count, page)];
    let done = Done::within(all(&pages), expected);
    ground.retire(area)?;
    Ok(done)
}

/// Each munmap zaps the VMA that is split off for it.
pub(in crate::workload) fn zap_hugetlb(
    ground: &mut Ground,
    count: usize,
) -> Result<Done, StepError> {
    const SIZE: usize = 2 << 20;
    let area = ground.area(Kind::Hugetlb(SIZE), count)?;
    area.write_all();
    for page in area.units() {
        area.unmap(&page)?;
    }
    let done = Done::new(
        [&area],
        [
            Expected::of(Probe::MmFault, count),
            Expected::hugetlb(count, SIZE),
            Expected::changes(Probe::ZapHugetlb, count, SIZE),
            Expected::changes(Probe::VmaUnmap, count, SIZE),
        ],
    );
    ground.retire(area)?;
    Ok(done)
}

/// `mprotect_fixup` (mm/mprotect.c) calls `change_protection` for each VMA in the range, which is one.
pub(in crate::workload) fn protect(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let (area, pages) = pages(ground, count)?;
    for page in &pages {
        area.protect(page)?;
    }
    let page = ground.machine.page;
    let expected =
        [Expected::of(Probe::MmFault, count), Expected::changes(Probe::Protect, count, page)];
    let done = Done::within(all(&pages), expected);
    ground.retire(area)?;
    Ok(done)
}

/// `move_vma` (mm/mremap.c) calls `move_page_tables` once.
pub(in crate::workload) fn shift(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let (area, pages) = pages(ground, count)?;
    let other = ground.area(Kind::Base, count + 2)?;
    for (page, to) in pages.iter().zip(other.units().skip(1)) {
        area.move_to(page, &other, &to)?;
    }
    let page = ground.machine.page;
    let expected =
        [Expected::of(Probe::MmFault, count), Expected::changes(Probe::Move, count, page)];
    let done = Done::within(all(&pages), expected);
    ground.retire(other)?;
    ground.retire(area)?;
    Ok(done)
}

/// `dup_mmap` (kernel/fork.c, mm/mmap.c) calls `copy_page_range` for each VMA.
pub(in crate::workload) fn fork(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    const PAGES: usize = 3;
    let area = ground.area(Kind::Base, PAGES)?;
    area.write_all();
    for _ in 0..count {
        drop(SleepingChild::new().map_err(StepError::Fork)?);
    }
    let done = Done::new(
        [&area],
        [
            Expected::of(Probe::MmFault, PAGES),
            Expected::changes(Probe::Fork, count, area.range().len()),
        ],
    );
    ground.retire(area)?;
    Ok(done)
}

/// Addresses that are unmapped are at once reserved again by a mapping without access.
pub(in crate::workload) fn unmap(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let (area, pages) = pages(ground, count)?;
    for page in &pages {
        area.unmap(page)?;
    }
    let page = ground.machine.page;
    let done = Done::within(
        all(&pages),
        [
            Expected::of(Probe::MmFault, count),
            Expected::changes(Probe::VmaUnmap, count, page),
            Expected::changes(Probe::VmaMap, count, page),
        ],
    );
    ground.retire(area)?;
    Ok(done)
}
