//! Reads what is wanted of a process, and keeps open what that takes.

use std::{collections::HashMap, fs::File, ops::Range};

use rangemap::RangeSet;

use super::source::{LiveSource, absent_error, comm, map_error, of_one_program, scan_error};
use crate::{
    clock,
    kernel::{
        program::Program,
        vmas::{self, VmaList},
    },
    maps::source::{MapError, MapSource as _},
    model::{
        leaf::{LeafKind, LeafSize},
        set::{Source, Wants},
        sizes::Sizes,
        vma::{Vma, VmaKind},
    },
    probe::scan::AddressSpace,
    track::{
        reading::{Reading, Why},
        wanted::Request,
    },
};

/// Reads processes again and again.
pub struct Reader {
    source: LiveSource,
    open: HashMap<u32, Open>,
}

/// A process that is read.
struct Open {
    program: Program,
    tables: AddressSpace,
    list: VmaList,
}

impl Reader {
    /// By the page-table scan where it is possible, else by the best of the kernel's own interfaces.
    #[must_use]
    pub fn open() -> Self {
        Self::by(LiveSource::open(Wants::default()))
    }

    /// By this source.
    #[must_use]
    pub fn by(source: LiveSource) -> Self {
        Self { source, open: HashMap::new() }
    }

    /// Whether parts can be read: else everything is read each time.
    pub fn reads_parts(&mut self) -> bool {
        self.source.scanner().is_some()
    }

    /// The VMAs of a process, as far as they are known.
    #[must_use]
    pub fn ranges(&self, pid: u32) -> Vec<Range<u64>> {
        self.open
            .get(&pid)
            .map(|open| open.list.vmas.iter().map(Vma::range).collect())
            .unwrap_or_default()
    }

    /// Reads what is wanted; everything, when the process runs another program than the last time.
    ///
    /// # Errors
    /// When the process has ended, or cannot be read; see [`MapError`].
    pub fn read(&mut self, pid: u32, request: Request, why: Why) -> Result<Read, MapError> {
        if self.source.scanner().is_none() {
            return Ok(Read { reading: self.ask(pid, why)?, torn: Vec::new() });
        }
        let known = self.open.contains_key(&pid);
        if known && let Request::Some { vmas, files, mut ranges } = request {
            if files {
                ranges.extend(self.files(pid));
                ranges.sort_unstable_by_key(|range| range.start);
            }
            match self.part(pid, vmas, ranges, why) {
                // Another program, perhaps: it is read as a whole.
                Err(MapError::Exited { .. }) => {}
                outcome => return outcome,
            }
        }
        self.whole(pid, why)
    }

    /// Where a process maps files or shared memory.
    fn files(&self, pid: u32) -> impl Iterator<Item = Range<u64>> {
        let vmas = self.open.get(&pid).into_iter().flat_map(|open| &open.list.vmas);
        vmas.filter(|vma| vma.kind.is_file()).map(Vma::range)
    }

    /// Forgets a process.
    pub fn forget(&mut self, pid: u32) {
        self.open.remove(&pid);
    }

    /// The name of a process, and what it comes to by leaf size; nothing stays open.
    pub(super) fn count(&mut self, pid: u32) -> Result<(String, Sizes), MapError> {
        let set = self.source.read(pid, Wants::default())?;
        Ok((set.origin().comm.clone(), Sizes::from(&set.statistics())))
    }

    /// Everything, by the kernel's own interfaces.
    fn ask(&mut self, pid: u32, why: Why) -> Result<Reading, MapError> {
        let time = clock::monotonic();
        let set = self.source.read(pid, Wants::default())?;
        let runs = set.iter().map(|batch| batch.run).filter(|run| run.kind != LeafKind::Hole);
        Ok(Reading {
            time,
            duration: clock::monotonic() - time,
            pid,
            comm: set.origin().comm.clone(),
            why,
            source: set.origin().source,
            ranges: set.vmas().map(|vma| vma.range().into()).collect(),
            runs: runs.collect(),
            vmas: Some(set.vmas().cloned().collect()),
            torn: 0,
        })
    }

    /// Everything, by the scan.
    fn whole(&mut self, pid: u32, why: Why) -> Result<Read, MapError> {
        let time = clock::monotonic();
        let before = Program::of(pid).map_err(|absent| absent_error(pid, absent))?;
        let old = self.open.remove(&pid);
        let is_other = old.is_none_or(|old| old.program != before);
        let opened = self.reopen(pid, before);
        let open = of_one_program(pid, &before, opened)?;
        let ranges = open.list.vmas.iter().map(Vma::range).collect();
        let vmas = Some(open.list.vmas.clone());
        self.open.insert(pid, open);
        let why = if is_other { Why::Start } else { why };
        self.scan(pid, Asked { time, vmas, ranges, why })
    }

    fn reopen(&mut self, pid: u32, program: Program) -> Result<Open, MapError> {
        let list = list(pid)?;
        let failed = |error| map_error(pid, vmas::Error::from_io(pid, "pagemap", error));
        let pagemap = File::open(format!("/proc/{pid}/pagemap")).map_err(failed)?;
        let scanner = self.source.scanner().ok_or(MapError::Exited { pid })?;
        let tables = scanner.resolve(pagemap).map_err(|error| scan_error(pid, error))?;
        Ok(Open { program, tables, list })
    }

    /// Some ranges, by the scan.
    fn part(
        &mut self,
        pid: u32,
        wants_vmas: bool,
        mut ranges: Vec<Range<u64>>,
        why: Why,
    ) -> Result<Read, MapError> {
        let time = clock::monotonic();
        let gone = MapError::Exited { pid };
        let mut vmas = None;
        if wants_vmas {
            let list = list(pid)?;
            let open = self.open.get_mut(&pid).ok_or(gone)?;
            if !open.list.space().is_alive() {
                return Err(MapError::Exited { pid });
            }
            let mut new: RangeSet<u64> = list.vmas.iter().map(Vma::range).collect();
            open.list.vmas.iter().for_each(|vma| new.remove(vma.range()));
            new.extend(ranges);
            ranges = new.into_iter().collect();
            vmas = Some(list.vmas.clone());
            open.list = list;
        } else {
            self.open.get(&pid).ok_or(gone)?;
        }
        let inside = self.inside(pid, &ranges);
        self.scan(pid, Asked { time, vmas, ranges: inside, why })
    }

    /// The parts of ranges that lie in VMAs; no part ends inside of a leaf.
    fn inside(&self, pid: u32, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let Some(open) = self.open.get(&pid) else { return Vec::new() };
        let vmas = &open.list.vmas;
        let mut parts: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            let first = vmas.partition_point(|vma| vma.end <= range.start);
            for vma in vmas[first..].iter().take_while(|vma| vma.start < range.end) {
                let size = largest_leaf(vma).bytes();
                let start = (range.start & !(size - 1)).max(vma.start);
                let end = range.end.checked_next_multiple_of(size).unwrap_or(u64::MAX).min(vma.end);
                match parts.last_mut() {
                    // Two ranges widened until they meet in one VMA.
                    Some(last) if last.end > start => last.end = last.end.max(end),
                    _ => parts.push(start..end),
                }
            }
        }
        parts
    }

    fn scan(&mut self, pid: u32, asked: Asked) -> Result<Read, MapError> {
        let gone = || MapError::Exited { pid };
        let open = self.open.get(&pid).ok_or_else(gone)?;
        let scanner = self.source.scanner().ok_or_else(gone)?;
        let mut runs = Vec::new();
        let effort = scanner
            .walk(&open.tables, &asked.ranges, Wants::default(), |_, run| runs.push(run))
            .map_err(|error| scan_error(pid, error))?;
        if !open.list.space().is_alive() {
            return Err(gone());
        }
        let Asked { time, vmas, ranges, why } = asked;
        let is_located = effort.torn_at.len() as u64 == effort.torn;
        let (ranges, torn) = if is_located {
            (without(&ranges, &effort.torn_at), effort.torn_at)
        } else {
            runs.clear();
            (Vec::new(), ranges)
        };
        let reading = Reading {
            time,
            duration: clock::monotonic() - time,
            pid,
            comm: comm(pid),
            why,
            source: Source::PageTables,
            vmas,
            ranges: ranges.into_iter().map(Into::into).collect(),
            runs,
            // Not what lies beside the ranges: nobody asked for it.
            torn: effort.torn,
        };
        Ok(Read { reading, torn })
    }
}

/// What was read.
pub struct Read {
    /// What stood where nothing was torn.
    pub reading: Reading,
    /// Of what nothing is told, because it changed while it was read.
    pub torn: Vec<Range<u64>>,
}

/// Ranges without what others touch of them.
fn without(ranges: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    if others.is_empty() {
        return ranges.to_vec();
    }
    let mut out = RangeSet::new();
    for other in others {
        out.insert(other.clone());
    }
    ranges.iter().flat_map(|range| out.gaps(range)).collect()
}

/// What a scan is asked for.
struct Asked {
    time: u64,
    vmas: Option<Vec<Vma>>,
    ranges: Vec<Range<u64>>,
    why: Why,
}

fn list(pid: u32) -> Result<VmaList, MapError> {
    vmas::list(pid, false).map_err(|error| map_error(pid, error))
}

/// The largest leaf that a VMA can have, at least one of the last level but one.
fn largest_leaf(vma: &Vma) -> LeafSize {
    match vma.kind {
        VmaKind::Hugetlb(size) => size.max(LeafSize::PMD),
        // DAX devices map gigabytes at once.
        VmaKind::File if vma.name.starts_with("/dev/") => LeafSize::PUD,
        _ => LeafSize::PMD,
    }
}
