//! Collapses by `madvise(MADV_COLLAPSE)`.

use std::{io::ErrorKind, thread, time::Duration};

use probe_common::probe::Probe;

use crate::workload::{
    error::StepError,
    expected::{Done, Expected},
    memory::{Area, Ground, Kind},
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
    let mut repeated = 0;
    for area in &areas {
        repeated += collapse(area)?;
    }
    let mut done = Done::new(
        &areas,
        [
            Expected::of(Probe::MmFault, count * pages),
            Expected::of(Probe::CollapseRequest, count),
            Expected::of(Probe::Collapse, count),
        ],
    );
    done.repeated = repeated;
    for area in areas {
        ground.retire(area)?;
    }
    Ok(done)
}

/// Collapses an area, and tells how often the kernel asked to try again: `EAGAIN` means that one of
/// the pages was locked, or off its LRU list for a moment, as compaction leaves them
/// (`madvise_collapse_errno`).
fn collapse(area: &Area) -> Result<u64, StepError> {
    const TRIES: u64 = 20;
    let range = area.range();
    let mut tries = 0;
    loop {
        area.advise(&range, Advice::HugePage)?;
        let collapsed = area.advise(&range, Advice::Collapse);
        area.advise(&range, Advice::NoHugePage)?;
        match collapsed {
            Err(StepError::Call { source, .. })
                if source.kind() == ErrorKind::WouldBlock && tries < TRIES =>
            {
                tries += 1;
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(tries),
        }
    }
}
