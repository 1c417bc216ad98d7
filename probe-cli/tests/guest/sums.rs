//! What the kernel tells of a VMA in sum, against the leaves that a scan found there.

use libtest_mimic::Failed;
use walkprobe::model::{
    leaf::{LeafKind, Run},
    set::TranslationSet,
};

use crate::{
    compare::smaps_counts,
    quiet::{Reading, at},
    run::{ensure, guest},
    smaps::Told,
};

/// Whether smaps counts such leaves. Until Linux 6.5 it passes over huge ones that trap
/// (mm/huge_memory.c, `follow_trans_huge_pmd`); hugetlb memory is another function's.
fn counts(run: &Run) -> bool {
    smaps_counts(run.kind) && !is_passed_over(run)
}

fn is_passed_over(run: &Run) -> bool {
    let old = guest().is_some_and(|series| series == "6.1");
    old && run.kind == LeafKind::ProtNone && run.size.is_huge()
}

/// The sums of smaps (fs/proc/task_mmu.c, `smap_gather_stats`).
pub(crate) fn of_vma(told: &Told, runs: &[Run]) -> Result<(), Failed> {
    let sum = |is: &dyn Fn(&Run) -> bool| -> u64 {
        runs.iter().filter(|run| is(run)).map(Run::bytes).sum()
    };
    let same = |what: &str, found: u64, told: u64| {
        ensure(found == told, || format!("{what}: {found} found, {told} told: {runs:?}"))
    };
    let is_hugetlb = told.has_flag("ht");
    let counted = sum(&counts);
    let huge = sum(&|run| counts(run) && run.size.is_huge());
    if is_hugetlb {
        let huge = sum(&|run| smaps_counts(run.kind));
        return same("hugetlb", huge, told.sum(&["Private_Hugetlb", "Shared_Hugetlb"]));
    }
    let fields = ["AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"];
    same("huge leaves", huge, told.sum(&fields))?;
    // The kernel's own pages, [vdso] and the like, are no memory of the process.
    if !told.name.starts_with("[v") {
        same("Rss", counted, told.sum(&["Rss"]))?;
    }
    // Of shared memory what is swapped stands in the file.
    if told.name.is_empty() || told.name.starts_with('[') {
        same("Swap", sum(&|run| run.kind == LeafKind::Swap), told.sum(&["Swap"]))?;
    }
    Ok(())
}

/// What every source tells exactly: how many bytes are mapped, and how many of them by which size. Pages of zeroes are
/// left out of the sizes, of which `pagemap` tells nothing.
pub(crate) fn of_sources(
    scan: &TranslationSet,
    other: &TranslationSet,
    reading: &Reading,
) -> Result<(), Failed> {
    for (number, (told, _)) in reading.0.iter().enumerate() {
        if told.has_flag("pf") {
            continue;
        }
        let maps = [at(scan, number, &told.range)?, at(other, number, &told.range)?];
        let summed = |counts: &dyn Fn(&Run) -> bool| {
            maps.map(|map| map.runs().iter().filter(|run| counts(run)).map(Run::bytes).sum::<u64>())
        };
        let mapped = summed(&|run| run.kind.is_mapped());
        let huge = summed(&|run| {
            run.kind.is_mapped()
                && run.kind != LeafKind::Zero
                && run.size.is_huge()
                && (told.has_flag("ht") || !is_passed_over(run))
        });
        ensure(mapped[0] == mapped[1] && huge[0] == huge[1], || {
            format!(
                "{mapped:?} bytes mapped, {huge:?} by huge leaves, in {told:?}: by the scan {:?}, by \
                 {} {:?}",
                maps[0].runs(),
                other.origin().source,
                maps[1].runs()
            )
        })?;
    }
    Ok(())
}
