//! Collapses by `madvise(MADV_COLLAPSE)`.

use probe_common::probe::Probe;

use crate::workload::{
    error::StepError,
    expected::{Done, Expected},
    memory::{Ground, Kind},
    sys::Advice,
};

/// `madvise_collapse` (mm/khugepaged.c, 6.1 to 7.3) drains the LRU batches of all CPUs first, so
/// that nobody holds a reference to the touched pages, and calls `collapse_huge_page` once for each
/// THP's worth of the range that is mapped by a table. It looks at page tables by itself, not by
/// the walker.
///
/// `MADV_COLLAPSE` refuses memory with `MADV_NOHUGEPAGE`, and khugepaged may be quicker where that
/// is lifted: so each range is a VMA of its own, and only lifted for the call.
pub(in crate::workload) fn madvise(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    let pages = ground.machine.pages_per_pmd();
    let areas =
        (0..count).map(|_| ground.area(Kind::Base, pages)).collect::<Result<Vec<_>, _>>()?;
    for area in &areas {
        area.write_all();
    }
    for area in &areas {
        area.advise(&area.range(), Advice::HugePage)?;
        let collapsed = area.advise(&area.range(), Advice::Collapse);
        area.advise(&area.range(), Advice::NoHugePage)?;
        collapsed?;
    }
    let done = Done::new(
        &areas,
        [
            Expected::of(Probe::MmFault, count * pages),
            Expected::of(Probe::CollapseRequest, count),
            Expected::of(Probe::Collapse, count),
        ],
    );
    for area in areas {
        ground.retire(area)?;
    }
    Ok(done)
}
