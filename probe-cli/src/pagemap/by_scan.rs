//! Leaf maps by `PAGEMAP_SCAN`.

use std::{fs::File, io, ops::Range};

use super::{
    entry::Window,
    runs::{Leaves, Runs, huge_size, present},
    scan::{Region, Scanner, category},
};
use crate::model::{
    leaf::{LeafKind, LeafSize, Run},
    vma::{Vma, VmaKind},
};

/// A call walks over this much of the address space at most: the kernel holds mmap_lock for it.
const BYTES_PER_CALL: u64 = 1 << 30;

const KINDS: u64 = category::PRESENT | category::SWAPPED | category::PFNZERO | category::HUGE;

/// What this kernel's `PAGEMAP_SCAN` can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Guard regions.
    pub(crate) guard: bool,
    /// WRITTEN is the opposite of write-protected by userfaultfd.
    pub(crate) written: bool,
}

impl Abilities {
    /// Finds out by trying on this process's own memory; `None` without `PAGEMAP_SCAN`.
    pub(crate) fn find() -> Option<Self> {
        let pagemap = File::open("/proc/self/pagemap").ok()?;
        let here = 0_u8;
        let start = (&raw const here).addr() as u64 & !(LeafSize::BASE.bytes() - 1);
        let scan = |wanted| {
            let mut found = 0;
            let range = start..start + LeafSize::BASE.bytes();
            Scanner::new(wanted)
                .scan(&pagemap, range, |region| {
                    found |= region.categories;
                    Ok(())
                })
                .ok()
                .map(|()| found)
        };
        let found = scan(KINDS | category::WRITTEN)?;
        let guard = scan(KINDS | category::GUARD).is_some();
        Some(Self { guard, written: found & category::WRITTEN != 0 })
    }

    fn wanted(self, marks: bool) -> u64 {
        let guard = if self.guard { category::GUARD } else { 0 };
        let written = if self.written { category::WRITTEN } else { 0 };
        KINDS | guard | if marks { category::SOFT_DIRTY | written } else { 0 }
    }
}

/// The runs of each VMA, in the order of `vmas`, and how many leaves were cut.
pub(crate) fn read(
    pagemap: &File,
    vmas: &[Vma],
    marks: bool,
    abilities: Abilities,
) -> io::Result<(Vec<Vec<Run>>, u64)> {
    let mut scanner = Scanner::new(abilities.wanted(marks));
    let mut collector = Collector {
        pagemap,
        vmas,
        runs: Vec::with_capacity(vmas.len()),
        current: vmas.first().map(|vma| Runs::new(vma.range(), marks)),
        marks,
        written: abilities.written && marks,
        cut: 0,
        window: Window::new(),
    };
    for range in (Calls { vmas, position: 0 }) {
        scanner.scan(pagemap, range, |region| collector.region(region))?;
    }
    Ok(collector.finish())
}

/// Cuts an address space into ranges for one call each: many small VMAs together, a large one
/// in parts at multiples of the largest leaf.
struct Calls<'a> {
    vmas: &'a [Vma],
    position: u64,
}

impl Iterator for Calls<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        while self.vmas.first().is_some_and(|vma| vma.end <= self.position) {
            self.vmas = &self.vmas[1..];
        }
        let start = self.vmas.first()?.start.max(self.position);
        let mut bytes = 0;
        let mut end = start;
        for vma in self.vmas {
            let from = vma.start.max(start);
            if bytes + (vma.end - from) > BYTES_PER_CALL {
                let cut = (from + BYTES_PER_CALL - bytes) & !(BYTES_PER_CALL - 1);
                end = if cut > from { cut.min(vma.end) } else { end };
                break;
            }
            bytes += vma.end - from;
            end = vma.end;
        }
        // The first VMA alone always makes a step.
        if end <= start {
            end = self.vmas.first()?.end.min(start + BYTES_PER_CALL);
        }
        self.position = end;
        Some(start..end)
    }
}

/// Deals regions, which go across VMAs, out to the VMAs.
struct Collector<'a> {
    pagemap: &'a File,
    /// The VMA of `current` first.
    vmas: &'a [Vma],
    runs: Vec<Vec<Run>>,
    current: Option<Runs>,
    marks: bool,
    written: bool,
    cut: u64,
    window: Window,
}

impl Collector<'_> {
    fn region(&mut self, region: Region) -> io::Result<()> {
        while let Some(vma) = self.vmas.first() {
            if region.end <= vma.start {
                break;
            }
            let (start, end) = (region.start.max(vma.start), region.end.min(vma.end));
            if start < end {
                self.part(vma, Region { start, end, ..region })?;
            }
            if region.end <= vma.end {
                break;
            }
            self.next_vma();
        }
        Ok(())
    }

    fn part(&mut self, vma: &Vma, region: Region) -> io::Result<()> {
        let Some(runs) = &mut self.current else { return Ok(()) };
        let has = |bits: u64| region.categories & bits != 0;
        let hugetlb = matches!(vma.kind, VmaKind::Hugetlb(_));
        let leaves = |kind| Leaves {
            start: region.start,
            end: region.end,
            size: if has(category::HUGE) { huge_size(vma) } else { LeafSize::BASE },
            kind,
            soft_dirty: has(category::SOFT_DIRTY),
            uffd_wp: self.written && !has(category::WRITTEN),
        };
        if has(category::PRESENT) {
            // The frame of the base zero page is no hugetlb page.
            let zero = has(category::PFNZERO) && !hugetlb;
            runs.push(leaves(present(vma, zero)));
        } else if has(category::GUARD) {
            runs.push(leaves(LeafKind::Guard));
        } else if has(category::HUGE) && !hugetlb {
            // A non-present PMD is a THP on its way (`pagemap_pmd_range_thp` warns otherwise).
            runs.push(leaves(LeafKind::Migration));
        } else {
            return non_present(self.pagemap, &mut self.window, vma, leaves(LeafKind::Other), runs);
        }
        Ok(())
    }

    fn next_vma(&mut self) {
        if let Some(runs) = self.current.take() {
            self.cut += runs.cut;
            self.runs.push(runs.finish());
        }
        self.vmas = self.vmas.split_first().map_or(&[], |(_, rest)| rest);
        self.current = self.vmas.first().map(|vma| Runs::new(vma.range(), self.marks));
    }

    fn finish(mut self) -> (Vec<Vec<Run>>, u64) {
        while !self.vmas.is_empty() {
            self.next_vma();
        }
        (self.runs, self.cut)
    }
}

/// SWAPPED says only "not present"; `pagemap` knows more.
fn non_present(
    pagemap: &File,
    window: &mut Window,
    vma: &Vma,
    region: Leaves,
    runs: &mut Runs,
) -> io::Result<()> {
    let step = region.size.bytes();
    let mut start = region.start;
    while start < region.end {
        let entries = window.read(pagemap, start, region.end)?;
        if entries.len() == 0 {
            break;
        }
        let mut leaf = start;
        for (page, entry) in (start..).step_by(step_of(LeafSize::BASE)).zip(entries) {
            start = page + LeafSize::BASE.bytes();
            if page != leaf {
                continue;
            }
            leaf = page + step;
            let kind = match vma.kind {
                // `pagemap_hugetlb_range` tells of no other non-present entry.
                VmaKind::Hugetlb(_) if entry.is_uffd_wp() => LeafKind::UffdWp,
                VmaKind::Hugetlb(_) => LeafKind::Other,
                // It came back, or went away, since the scan.
                _ if entry.is_present() => present(vma, false),
                _ if entry.is_hole() => continue,
                _ => entry.non_present(),
            };
            runs.push(Leaves { start: page, end: leaf, kind, ..region });
        }
        start = start.max(leaf);
    }
    Ok(())
}

fn step_of(size: LeafSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{BYTES_PER_CALL, Calls};
    use crate::{
        kernel::vmas::{classify, devices::Devices, text},
        model::vma::Vma,
    };

    fn vma(start: u64, end: u64) -> Vma {
        let line = format!("{start:08x}-{end:08x} rw-p 00000000 00:00 0");
        classify::vma(&text::line(line.as_bytes()).unwrap(), &Devices::default())
    }

    #[test]
    fn calls_cover_every_vma_once() {
        const G: u64 = BYTES_PER_CALL;
        let vmas = [
            vma(0x1000, 0x2000),
            vma(0x5000, 0x9000),
            vma(G / 2, 5 * G + 0x1000),
            vma(6 * G, 6 * G + 0x1000),
            vma(100 * G, 102 * G),
        ];
        let mut at = 0;
        let mut covered = 0;
        for range in (Calls { vmas: &vmas, position: 0 }) {
            assert!(range.start >= at && range.end > range.start);
            at = range.end;
            let inside = vmas
                .iter()
                .map(|vma| vma.end.min(range.end).saturating_sub(vma.start.max(range.start)));
            let inside: u64 = inside.sum();
            assert!(inside <= BYTES_PER_CALL, "{range:x?}");
            covered += inside;
        }
        assert_eq!(covered, vmas.iter().map(Vma::bytes).sum::<u64>());
    }
}
