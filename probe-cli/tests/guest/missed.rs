//! Tables that the kernel takes away for a moment, where a scan sees a hole.

use std::ops::Range;

use libtest_mimic::Failed;
use walkprobe::model::leaf::{LeafKind, Run};

use crate::{
    compare::{self, Entry, Place},
    memory::{PAGE, PMD},
};

/// What a scan saw that does not contradict the kernel.
pub(crate) enum Seen {
    /// The same, of which there was so much.
    Same(compare::Bytes),
    /// From this address on a hole in place of a whole table: as if the table were taken away for the moment.
    WithoutTable(u64),
}

impl Seen {
    /// Fails unless it is all the same.
    pub(crate) fn all(self) -> Result<compare::Bytes, Failed> {
        match self {
            Self::Same(bytes) => Ok(bytes),
            Self::WithoutTable(address) => {
                Err(format!("a hole in place of all pages of the table at {address:#x}").into())
            }
        }
    }
}

/// Where the runs have a hole for all that a PMD entry covers of a VMA, and pagemap has something. What is collapsed is
/// never hugetlb memory.
pub(crate) fn without_table(place: &Place, runs: &[Run], pagemap: &[Entry]) -> Option<u64> {
    const TABLE: u64 = PMD as u64;
    let Range { start, end } = place.range;
    let is_missed = |part: &Range<u64>| {
        let index =
            |address: u64| usize::try_from((address - start) / PAGE as u64).unwrap_or(usize::MAX);
        let pages = pagemap.get(index(part.start)..index(part.end)).unwrap_or_default();
        pages.iter().any(|entry| entry.is_present() || entry.is_swapped())
    };
    let holes = runs.iter().filter(|run| run.kind == LeafKind::Hole && !place.hugetlb);
    holes
        .flat_map(|hole| {
            let tables = (hole.start / TABLE * TABLE..hole.end()).step_by(PMD);
            let parts = tables.map(|table| table.max(start)..(table + TABLE).min(end));
            parts.filter(|part| hole.start <= part.start && part.end <= hole.end())
        })
        .find(is_missed)
        .map(|part| part.start)
}
