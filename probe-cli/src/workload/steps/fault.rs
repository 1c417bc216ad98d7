//! Page faults.
//!
//! One touch is one call of `handle_mm_fault` (mm/memory.c), of 5.10 to 7.3: the first touch of
//! private anonymous memory waits for no page lock, so that the kernel has no cause to try again
//! (`VM_FAULT_RETRY`). Where the per-VMA lock does not do (the VMA has no `anon_vma` yet), the
//! kernel takes the mmap_lock before it enters `handle_mm_fault` (6.4), or in it without leaving
//! it (6.10, `__vmf_anon_prepare`), unless another thread holds the mmap_lock for writing.

use probe_common::probe::Probe;

use crate::workload::{
    error::StepError,
    expected::{Done, Expected},
    memory::{Ground, Kind},
    sys::SleepingChild,
};

/// `hugetlb_fault` once for each page, below `handle_mm_fault`.
pub(in crate::workload) fn hugetlb_2m(
    ground: &mut Ground,
    count: usize,
) -> Result<Done, StepError> {
    hugetlb(ground, count, 2 << 20)
}

/// As [`hugetlb_2m`].
pub(in crate::workload) fn hugetlb_1g(
    ground: &mut Ground,
    count: usize,
) -> Result<Done, StepError> {
    hugetlb(ground, count, 1 << 30)
}

fn hugetlb(ground: &mut Ground, count: usize, size: usize) -> Result<Done, StepError> {
    let area = ground.area(Kind::Hugetlb(size), count)?;
    area.write_all();
    let expected = [Expected::of(Probe::MmFault, count), Expected::hugetlb(count, size)];
    let done = Done::new([&area], expected);
    ground.retire(area)?;
    Ok(done)
}

pub(in crate::workload) fn base(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let area = ground.area(Kind::Base, count)?;
    area.write_all();
    let done = Done::new([&area], [Expected::of(Probe::MmFault, count)]);
    ground.retire(area)?;
    Ok(done)
}

/// The fault events of `count` THPs that [`Ground::thps`] maps.
pub(super) fn thp_faults(count: usize) -> [Expected; 2] {
    [Expected::of(Probe::MmFault, count), Expected::of(Probe::ThpFault, count)]
}

pub(in crate::workload) fn thp(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let area = ground.thps(count)?;
    let done = Done::new([&area], thp_faults(count));
    ground.retire(area)?;
    Ok(done)
}

/// A read maps the huge zero page, or an empty THP where `use_zero_page` is 0: in both cases by
/// `do_huge_pmd_anonymous_page`.
pub(in crate::workload) fn thp_read(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let area = ground.area(Kind::Thp, count)?;
    area.read_all();
    area.settle()?;
    let done = Done::new([&area], thp_faults(count));
    ground.retire(area)?;
    Ok(done)
}

/// The parent writes while a child has the THPs too: `do_huge_pmd_wp_page` finds more than one
/// reference, splits the PMD and falls back to a copy of one base page, within the same call of
/// `handle_mm_fault` (mm/huge_memory.c, 5.10 to 7.3). The child writes nothing, because it might
/// find itself the only owner.
pub(in crate::workload) fn thp_cow(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let area = ground.thps(count)?;
    let child = SleepingChild::new().map_err(StepError::Fork)?;
    area.write_all();
    drop(child);
    let done = Done::new(
        [&area],
        [
            Expected::of(Probe::MmFault, 2 * count),
            Expected::of(Probe::ThpFault, count),
            Expected::fallbacks(Probe::ThpWpFault, count),
            Expected::of(Probe::PmdSplit, count),
        ],
    );
    ground.retire(area)?;
    Ok(done)
}
