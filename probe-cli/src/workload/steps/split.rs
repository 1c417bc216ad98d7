//! Splits of PMD leaves and of folios.

use std::ops::Range;

use probe_common::probe::Probe;

use super::fault::thp_faults;
use crate::{
    event::Path,
    workload::{
        error::StepError,
        expected::{Done, Expected},
        memory::{Area, Ground},
        sys::Advice,
    },
};

/// Splits each of `count` THPs by `split`, and expects `expected` besides the faults that map them.
fn each_thp(
    ground: &mut Ground,
    count: usize,
    split: impl Fn(&Area, &Range<usize>) -> Result<(), StepError>,
    expected: &[Expected],
) -> Result<Done, StepError> {
    let area = ground.thps(count)?;
    for thp in area.units() {
        split(&area, &area.page_inside(&thp))?;
    }
    let done = Done::new([&area], thp_faults(count).into_iter().chain(expected.iter().copied()));
    ground.retire(area)?;
    Ok(done)
}

/// The VMA is split at both ends of the page: at the first end `vma_adjust_trans_huge` (from 6.16
/// `__split_vma` itself) splits the PMD, at the second there is no leaf left.
pub(in crate::workload) fn munmap(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    each_thp(ground, count, Area::unmap, &[Expected::of(Probe::PmdSplit, count)])
}

/// As [`munmap`].
pub(in crate::workload) fn mprotect(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    each_thp(ground, count, Area::protect, &[Expected::of(Probe::PmdSplit, count)])
}

/// `madvise_free_huge_pmd` (mm/huge_memory.c, 5.10 to 7.3) takes a part of a THP as an order to
/// split the folio, if it can lock it and nobody else has it mapped; the split of the folio
/// begins with that of the PMD (`unmap_folio`), and succeeds because nobody else holds a reference:
/// large folios do not wait in the per-CPU LRU batches. madvise walks the VMA once for each call.
pub(in crate::workload) fn folio(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    each_thp(
        ground,
        count,
        |area, page| area.advise(page, Advice::Free),
        &[
            Expected::of(Probe::PmdSplit, count),
            Expected::of(Probe::FolioSplit, count),
            Expected::walks(count, Path::Generic),
        ],
    )
}
