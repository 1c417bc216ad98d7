//! Leaf maps of running processes: from the page tables where eBPF can run, else from the best of
//! the kernel's own interfaces.

use std::{fs::File, ops::Range};

use crate::{
    escape::escape,
    kernel::{
        gather::gather_btf,
        program::{Absent, Program},
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

/// How often a scan goes on where page tables were taken away while it looked.
const PATIENCE: u32 = 100;

/// Running processes, as their page tables or the kernel show them.
pub struct LiveSource(Way);

/// How processes are read.
enum Way {
    Scan(Box<Scanner>),
    Ask { source: pagemap::Source, why: String },
}

impl LiveSource {
    /// By the scan where it is possible, else by the best of the kernel's own interfaces.
    #[must_use]
    pub fn open() -> Self {
        Self(match Scanner::open(&gather_btf()) {
            Ok(scanner) => Way::Scan(Box::new(scanner)),
            Err(error) => {
                log::debug!("no scan of page tables: {error}");
                Way::Ask { source: pagemap::best(), why: error.to_string() }
            }
        })
    }

    /// By one of the kernel's own interfaces, whatever else is possible.
    #[must_use]
    pub fn by(source: pagemap::Source) -> Self {
        Self(Way::Ask { source, why: format!("{} was asked for", source.name()) })
    }
}

impl MapSource for LiveSource {
    fn read(&mut self, pid: u32, wants: Wants) -> Result<TranslationSet, MapError> {
        let before = Program::of(pid).map_err(|absent| absent_error(pid, absent))?;
        let answer = match &mut self.0 {
            Way::Scan(scanner) => scanned(scanner, pid, wants),
            Way::Ask { source, why } => asked(pid, wants, *source, why),
        };
        let (maps, origin) = of_one_program(pid, &before, answer)?;
        TranslationSet::new(origin, maps).map_err(|error| MapError::Set { pid, error })
    }
}

/// The answer, unless the process has ended or called exec since `before`: then that is the reason
/// for whatever went wrong. What did not go wrong can be a mixture of two programs even so, because
/// several files are opened one after another, and the old address space can live on: a child of
/// vfork shares that of its parent.
fn of_one_program<T>(
    pid: u32,
    before: &Program,
    answer: Result<T, MapError>,
) -> Result<T, MapError> {
    match Program::of(pid) {
        // Its address space is gone, and it is not: only exec does that.
        Ok(now) if now == *before => answer.map_err(|error| match error {
            MapError::Exited { .. } => MapError::Executed { pid },
            error => error,
        }),
        Ok(now) if now.is_same_process(before) => Err(MapError::Executed { pid }),
        Err(Absent::Between) => Err(MapError::Executed { pid }),
        _ => Err(MapError::Exited { pid }),
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
        let mut patience = PATIENCE;
        loop {
            let from = range.start.max(sorter.covered);
            match scanner.walk(&tables, from..range.end, |run| sorter.take(run)) {
                Ok(part) => {
                    effort.tables += part.tables;
                    effort.retried += part.retried;
                    effort.torn += part.torn;
                    break;
                }
                // A table was freed, and something else written there, before the scan came to it.
                Err(ScanError::Gone) if list.space().is_alive() => {
                    effort.torn += 1;
                    patience -= 1;
                    if patience == 0 {
                        return Err(scan_failed(ScanError::Restless(from)));
                    }
                }
                Err(error) => return Err(scan_failed(error)),
            }
        }
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
fn asked(
    pid: u32,
    wants: Wants,
    source: pagemap::Source,
    why: &str,
) -> Result<(Vec<LeafMap>, Origin), MapError> {
    let answer =
        pagemap::read_with(pid, wants.marks, source).map_err(|error| map_error(pid, error))?;
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
    /// Where the last leaf ends that has a VMA.
    covered: u64,
    /// Runs that belong, in whole or in part, to no VMA, have a leaf that reaches out of one, or
    /// stand where others stood before: the process has changed them meanwhile.
    straddling: u64,
}

impl<'a> Sorter<'a> {
    fn new(vmas: &'a [Vma]) -> Self {
        Self { vmas, runs: vec![Vec::new(); vmas.len()], current: 0, covered: 0, straddling: 0 }
    }

    /// Takes a run. They come in the order of their addresses, but for a huge leaf that has taken the
    /// place of smaller ones: it is told whole, and what was told before stays.
    fn take(&mut self, run: Run) {
        let mut rest = run.start.max(self.covered);
        let mut torn = rest > run.start;
        while rest < run.end() {
            while self.vmas.get(self.current).is_some_and(|vma| vma.end <= rest) {
                self.current += 1;
            }
            let Some(vma) = self.vmas.get(self.current).filter(|vma| vma.start < run.end()) else {
                torn = true;
                break;
            };
            let inside = vma.start.max(rest)..vma.end.min(run.end());
            let part = part(&run, &inside);
            torn |= inside.start > rest
                || part.is_none_or(|part| part.bytes() < inside.end - inside.start);
            if let Some(part) = part {
                self.covered = part.end();
                self.runs[self.current].push(part);
            }
            rest = inside.end;
        }
        self.straddling += u64::from(torn);
    }
}

/// The leaves of a run that are completely in a range; how many have marks is known only of all.
fn part(run: &Run, range: &Range<u64>) -> Option<Run> {
    let size = run.size.bytes();
    let first = (range.start - run.start).div_ceil(size);
    let count = ((range.end - run.start) / size).checked_sub(first).filter(|&count| count > 0)?;
    let marks = run.marks.filter(|_| count == run.count);
    Some(Run { start: run.start + first * size, count, marks, ..*run })
}

/// The name of a process, escaped; empty when it is gone.
fn comm(pid: u32) -> String {
    let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    escape(comm.strip_suffix(b"\n").unwrap_or(&comm))
}

fn map_error(pid: u32, error: vmas::Error) -> MapError {
    match error {
        vmas::Error::NoProcess { .. } => MapError::NoSuchProcess { pid },
        // It had one a moment before.
        vmas::Error::NoAddressSpace { .. } | vmas::Error::Changed { .. } => {
            MapError::Exited { pid }
        }
        vmas::Error::Denied { .. } => no_rights(pid),
        vmas::Error::NoFile { .. } => MapError::Unsupported(error.to_string()),
        vmas::Error::Io { path, source } => MapError::Read { pid, what: path, error: source },
    }
}

fn absent_error(pid: u32, absent: Absent) -> MapError {
    match absent {
        Absent::NoProcess => MapError::NoSuchProcess { pid },
        Absent::Ended => MapError::Ended { pid },
        Absent::KernelThread => MapError::KernelThread { pid },
        Absent::Between => MapError::Executed { pid },
        Absent::Hidden => no_rights(pid),
    }
}

fn no_rights(pid: u32) -> MapError {
    MapError::NoRights { pid, needs: "run as root, or with CAP_SYS_PTRACE".to_owned() }
}

#[cfg(test)]
#[path = "map_source_tests.rs"]
mod tests;
