//! Leaf maps of running processes: from the page tables where eBPF can run, else from the best of
//! the kernel's own interfaces.

use std::{fs::File, ops::Range};

use crate::{
    escape::escape,
    kernel::{
        gather::gather_btf,
        vmas::{self, AddressSpace},
    },
    maps::source::{MapError, MapSource, Wants},
    model::{
        leaf::Run,
        map::LeafMap,
        set::{Origin, Source, TranslationSet},
        vma::Vma,
    },
    pagemap,
    probe::scan::{Effort, ScanError, Scanner},
};

/// VMAs this near to each other are scanned in one go: skipping a hole costs less than a request.
const NEAR: u64 = 1 << 30;

/// The scan, or why it is not possible here.
pub(crate) struct LiveSource {
    scanner: Result<Scanner, ScanError>,
}

impl LiveSource {
    /// Finds out whether the scan is possible here.
    pub(crate) fn open() -> Self {
        let scanner = Scanner::open(&gather_btf());
        if let Err(error) = &scanner {
            log::debug!("no scan of page tables: {error}");
        }
        Self { scanner }
    }
}

impl MapSource for LiveSource {
    fn read(&mut self, pid: u32, wants: Wants) -> Result<TranslationSet, MapError> {
        let (maps, origin) = match &mut self.scanner {
            Ok(scanner) => scanned(scanner, pid, wants)?,
            Err(error) => asked(pid, wants, error)?,
        };
        TranslationSet::new(origin, maps).map_err(|error| MapError::Set { pid, error })
    }
}

/// Reads the page tables.
fn scanned(
    scanner: &mut Scanner,
    pid: u32,
    wants: Wants,
) -> Result<(Vec<LeafMap>, Origin), MapError> {
    let failed = |error| map_error(pid, error);
    let space = AddressSpace::open(pid).map_err(failed)?;
    let pagemap = File::open(format!("/proc/{pid}/pagemap"))
        .map_err(|error| failed(vmas::Error::from_io(pid, "pagemap", error)))?;
    let list = space.list(false).map_err(failed)?;
    let scan_failed = |error| match error {
        ScanError::Gone => MapError::Exited { pid },
        error => MapError::Read {
            pid,
            what: "the page tables".to_owned(),
            error: std::io::Error::other(error.to_string()),
        },
    };
    let tables = scanner.resolve(pagemap).map_err(scan_failed)?;
    scanner.want_marks(wants.marks);
    let mut sorter = Sorter::new(&list.vmas);
    let mut effort = Effort { torn: list.torn, ..Effort::default() };
    // Marks are counted by run, so that a run must not reach into a second VMA.
    for range in spans(&list.vmas, if wants.marks { 0 } else { NEAR }) {
        let part = scanner.walk(&tables, range, |run| sorter.take(run)).map_err(scan_failed)?;
        effort.tables += part.tables;
        effort.retried += part.retried;
        effort.torn += part.torn;
    }
    if !list.space().is_alive() {
        return Err(MapError::Exited { pid });
    }
    let Sorter { runs, straddling, .. } = sorter;
    let maps = leaf_maps(pid, list.vmas.into_iter().zip(runs))?;
    let origin = Origin {
        pid,
        comm: comm(pid),
        source: Source::PageTables,
        precision: "exact".to_owned(),
        tables: effort.tables,
        retried: effort.retried,
        torn: effort.torn + straddling,
    };
    Ok((maps, origin))
}

/// Asks the kernel's own interfaces.
fn asked(pid: u32, wants: Wants, why: &ScanError) -> Result<(Vec<LeafMap>, Origin), MapError> {
    let answer = pagemap::read(pid, wants.marks).map_err(|error| map_error(pid, error))?;
    let maps = leaf_maps(pid, answer.maps)?;
    let origin = Origin {
        pid,
        comm: comm(pid),
        source: match answer.source {
            pagemap::Source::Scan => Source::PagemapScan,
            pagemap::Source::Entries => Source::Pagemap,
        },
        precision: format!("{} Page tables were not read: {why}.", answer.precision),
        tables: 0,
        retried: 0,
        torn: answer.torn,
    };
    Ok((maps, origin))
}

fn leaf_maps(
    pid: u32,
    vmas: impl IntoIterator<Item = (Vma, Vec<Run>)>,
) -> Result<Vec<LeafMap>, MapError> {
    vmas.into_iter()
        .map(|(vma, runs)| LeafMap::from_runs(vma, runs))
        .collect::<Result<_, _>>()
        .map_err(|error| MapError::Runs { pid, error })
}

/// Ranges that cover all VMAs; those that are at most `near` bytes apart together.
fn spans(vmas: &[Vma], near: u64) -> Vec<Range<u64>> {
    let mut spans: Vec<Range<u64>> = Vec::new();
    for vma in vmas {
        match spans.last_mut() {
            Some(last) if near > 0 && vma.start - last.end <= near => last.end = vma.end,
            _ => spans.push(vma.range()),
        }
    }
    spans
}

/// Sorts the runs of a scan into VMAs.
struct Sorter<'a> {
    vmas: &'a [Vma],
    runs: Vec<Vec<Run>>,
    current: usize,
    /// Runs that belong to no VMA, or reach out of one: the process has changed it meanwhile.
    straddling: u64,
}

impl<'a> Sorter<'a> {
    fn new(vmas: &'a [Vma]) -> Self {
        Self { vmas, runs: vec![Vec::new(); vmas.len()], current: 0, straddling: 0 }
    }

    /// Takes a run; they come in the order of their addresses.
    fn take(&mut self, run: Run) {
        let mut rest = run.start;
        while rest < run.end() {
            while self.vmas.get(self.current).is_some_and(|vma| vma.end <= rest) {
                self.current += 1;
            }
            let Some(vma) = self.vmas.get(self.current).filter(|vma| vma.start < run.end()) else {
                break;
            };
            let (start, end) = (vma.start.max(rest), vma.end.min(run.end()));
            match part(&run, start..end) {
                Some(part) => self.runs[self.current].push(part),
                None => self.straddling += 1,
            }
            if start > rest {
                self.straddling += 1;
            }
            rest = end;
        }
        if rest < run.end() {
            self.straddling += 1;
        }
    }
}

/// The leaves of a run in a range; `None` when it cuts one in two.
fn part(run: &Run, range: Range<u64>) -> Option<Run> {
    let size = run.size.bytes();
    let aligned = |address: u64| (address - run.start).is_multiple_of(size);
    (aligned(range.start) && aligned(range.end)).then(|| Run {
        start: range.start,
        count: (range.end - range.start) / size,
        ..*run
    })
}

/// The name of a process, escaped; empty when it is gone.
fn comm(pid: u32) -> String {
    let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    escape(comm.strip_suffix(b"\n").unwrap_or(&comm))
}

fn map_error(pid: u32, error: vmas::Error) -> MapError {
    match error {
        vmas::Error::NoProcess { .. } => MapError::NoSuchProcess { pid },
        vmas::Error::NoAddressSpace { .. } => MapError::KernelThread { pid },
        vmas::Error::Changed { .. } => MapError::Exited { pid },
        vmas::Error::Denied { .. } => {
            MapError::NoRights { pid, needs: "run as root, or with CAP_SYS_PTRACE".to_owned() }
        }
        vmas::Error::NoFile { .. } => MapError::Unsupported(error.to_string()),
        vmas::Error::Io { path, source } => MapError::Read { pid, what: path, error: source },
    }
}

#[cfg(test)]
mod tests {
    use super::{Sorter, spans};
    use crate::model::{
        leaf::{LeafKind, LeafSize, Run},
        vma::{Permissions, Vma, VmaKind},
    };

    const PAGE: u64 = 4096;

    fn vma(start: u64, end: u64) -> Vma {
        Vma {
            start: start * PAGE,
            end: end * PAGE,
            permissions: Permissions::default(),
            kind: VmaKind::Anonymous,
            name: String::new(),
            offset: 0,
            flags: None,
        }
    }

    fn run(start: u64, count: u64, size: LeafSize) -> Run {
        let start = start * PAGE;
        Run { start, size, count, kind: LeafKind::Present, folio_order: None, marks: None }
    }

    #[test]
    fn near_vmas_are_scanned_together() {
        let vmas = [vma(1, 2), vma(2, 5), vma(9, 10)];
        assert_eq!(spans(&vmas, 3 * PAGE).len(), 2);
        let together = spans(&vmas, 4 * PAGE);
        assert_eq!((together.len(), &together[0]), (1, &(PAGE..10 * PAGE)));
        assert_eq!(spans(&vmas, 0).len(), 3);
        assert!(spans(&[], PAGE).is_empty());
    }

    #[test]
    fn a_run_over_several_vmas_is_divided() {
        let vmas = [vma(1, 3), vma(3, 5), vma(7, 9)];
        let mut sorter = Sorter::new(&vmas);
        sorter.take(run(1, 3, LeafSize::BASE));
        sorter.take(run(7, 2, LeafSize::BASE));
        let starts: Vec<Vec<(u64, u64)>> = sorter
            .runs
            .iter()
            .map(|runs| runs.iter().map(|run| (run.start / PAGE, run.count)).collect())
            .collect();
        assert_eq!(starts, [vec![(1, 2)], vec![(3, 1)], vec![(7, 2)]]);
        assert_eq!(sorter.straddling, 0);
    }

    #[test]
    fn leaves_that_fit_no_vma_are_counted() {
        let vmas = [vma(512, 1000), vma(2000, 2001)];
        let mut sorter = Sorter::new(&vmas);
        sorter.take(run(0, 1, LeafSize::BASE)); // before
        sorter.take(run(512, 1, LeafSize::PMD)); // reaches out
        sorter.take(run(1500, 1, LeafSize::BASE)); // between
        sorter.take(run(3000, 1, LeafSize::BASE)); // behind
        assert!(sorter.runs.iter().all(Vec::is_empty));
        assert!(sorter.straddling >= 4, "{}", sorter.straddling);
    }
}
