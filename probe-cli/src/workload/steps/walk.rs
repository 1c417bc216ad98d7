//! Page-table walks by readers of /proc.

use std::{fs::File, io::Read as _, os::unix::fs::FileExt as _};

use probe_common::probe::Probe;

use crate::{
    event::Path,
    workload::{
        error::StepError,
        expected::{Done, Expected},
        machine::Need,
        memory::{Area, Ground, Kind},
    },
};

/// THPs' worth of base pages, THPs, and hugetlb pages to walk over.
const BLOCKS: usize = 4;
const HUGETLB: usize = 2 << 20;

/// Bytes asked for by one read of smaps.
///
/// seq_file fills a page with as many VMAs as fit, and forgets the one that does not: that VMA is
/// walked again by the next read (fs/seq_file.c, `seq_read_iter`; `seq_read` before 5.10). It looks
/// for a second VMA only while it has fewer bytes than were asked for. What smaps writes for one
/// VMA is longer than this in all kernels, so every read ends after one VMA, and walks it once.
const SMAPS_READ: usize = 512;

/// Bytes of one pagemap entry (`PM_ENTRY_BYTES`).
const ENTRY: usize = 8;

struct Land {
    base: Area,
    thp: Area,
    hugetlb: Option<Area>,
    left_out: Vec<String>,
}

impl Land {
    fn build(ground: &Ground) -> Result<Self, StepError> {
        let base = ground.area(Kind::Base, BLOCKS * ground.machine.pages_per_pmd())?;
        base.write_all();
        let thp = ground.thps(BLOCKS)?;
        let mut left_out = Vec::new();
        let hugetlb = match Need::Hugetlb2M.check(BLOCKS) {
            Ok(()) => {
                let area = ground.area(Kind::Hugetlb(HUGETLB), BLOCKS)?;
                area.write_all();
                Some(area)
            }
            Err(missing) => {
                left_out.push(format!("hugetlb area: {missing}"));
                None
            }
        };
        Ok(Self { base, thp, hugetlb, left_out })
    }

    fn areas(&self) -> impl Iterator<Item = &Area> {
        [&self.base, &self.thp].into_iter().chain(&self.hugetlb)
    }

    /// Events of the walks, after those of the faults that mapped the areas.
    fn done(&self, walks: impl IntoIterator<Item = Expected>) -> Done {
        let base = self.base.units().count();
        let hugetlb = self.hugetlb_pages();
        let faults = [
            Expected::of(Probe::MmFault, base + BLOCKS + hugetlb),
            Expected::of(Probe::ThpFault, BLOCKS),
            Expected::hugetlb(hugetlb, HUGETLB),
        ];
        let mut done = Done::new(self.areas(), faults.into_iter().chain(walks));
        done.left_out.clone_from(&self.left_out);
        done
    }

    fn hugetlb_pages(&self) -> usize {
        self.hugetlb.as_ref().map_or(0, |area| area.units().count())
    }

    fn retire(self, ground: &mut Ground) -> Result<(), StepError> {
        for area in [Some(self.base), Some(self.thp), self.hugetlb].into_iter().flatten() {
            ground.retire(area)?;
        }
        Ok(())
    }
}

/// Reads the whole of smaps `count` times.
///
/// `smap_gather_stats` (fs/proc/task_mmu.c, 5.10 to 7.3) walks each VMA from its first to its last
/// address by one `walk_page_vma`, which enters `__walk_page_range` once. Below that,
/// `smaps_pte_range` is the `pmd_entry`: called once for each PMD entry that is not empty, leaf or
/// table; and `smaps_hugetlb_range` once for each hugetlb page that is mapped. So for each read,
/// with base pages under B PMD entries, T THPs and H hugetlb pages:
///
/// - `walk_vma` = 2 on the generic path, and 1 on the hugetlb path if H > 0
/// - `walk_smaps` = B + T
/// - `walk_smaps_hugetlb` = H
pub(in crate::workload) fn smaps(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    const PATH: &str = "/proc/self/smaps";
    let failed = |source| StepError::File { path: PATH, source };
    let land = Land::build(ground)?;
    let mut buffer = [0_u8; SMAPS_READ];
    for _ in 0..count {
        let mut file = File::open(PATH).map_err(failed)?;
        while file.read(&mut buffer).map_err(failed)? > 0 {}
    }
    let hugetlb = land.hugetlb_pages();
    let done = land.done([
        Expected::walks(2 * count, Path::Generic),
        Expected::walks(count * usize::from(hugetlb > 0), Path::Hugetlb),
        Expected::of(Probe::WalkSmaps, 2 * BLOCKS * count),
        Expected::of(Probe::WalkSmapsHugetlb, hugetlb * count),
    ]);
    land.retire(ground)?;
    Ok(done)
}

/// Reads the pagemap entries of the areas `count` times, in one read for each PMD's worth.
///
/// `pagemap_read` (fs/proc/task_mmu.c, 5.10 to 7.3) calls `walk_page_range` for what is left up to
/// the next multiple of `PAGEMAP_WALK_SIZE` (`PMD_SIZE`), again and again until all entries asked
/// for are there. Each enters `__walk_page_range` once for each VMA, and below it
/// `pagemap_pmd_range` once for the one PMD entry, or `pagemap_hugetlb_range` once for the hugetlb
/// page. The areas begin at multiples of `PMD_SIZE`, so larger reads would cause the same walks. So
/// for each round, with the letters of [`smaps`]:
///
/// - `walk_vma` = B + T on the generic path, H on the hugetlb path
/// - `walk_pagemap` = B + T
/// - `walk_pagemap_hugetlb` = H
pub(in crate::workload) fn pagemap(ground: &mut Ground, count: usize) -> Result<Done, StepError> {
    const PATH: &str = "/proc/self/pagemap";
    let failed = |source| StepError::File { path: PATH, source };
    let page = ground.machine.page;
    let land = Land::build(ground)?;
    let mut entries = vec![0_u8; ground.machine.pages_per_pmd() * ENTRY];
    let file = File::open(PATH).map_err(failed)?;
    for _ in 0..count {
        for piece in land.areas().flat_map(Area::pmds) {
            let entries = &mut entries[..piece.len() / page * ENTRY];
            let offset = (piece.start / page * ENTRY) as u64;
            file.read_exact_at(entries, offset).map_err(failed)?;
        }
    }
    let hugetlb = land.hugetlb_pages();
    let done = land.done([
        Expected::walks(2 * BLOCKS * count, Path::Generic),
        Expected::walks(hugetlb * count, Path::Hugetlb),
        Expected::of(Probe::WalkPagemap, 2 * BLOCKS * count),
        Expected::of(Probe::WalkPagemapHugetlb, hugetlb * count),
    ]);
    land.retire(ground)?;
    Ok(done)
}
