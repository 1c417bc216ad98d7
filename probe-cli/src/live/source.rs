//! Leaf maps of running processes: from the page tables where eBPF can run, else from the best of
//! the kernel's own interfaces.

use std::fs::File;

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
    probe::scan::{ScanError, Scanner},
};

/// Running processes, as their page tables or the kernel show them.
pub struct LiveSource(Way);

/// How processes are read.
enum Way {
    Scan(Box<Scanner>),
    Ask { source: pagemap::Source, why: String },
}

impl LiveSource {
    /// By the scan where it is possible, else by the best of the kernel's own interfaces. What will be wanted
    /// decides how the scan is loaded.
    #[must_use]
    pub fn open(wants: Wants) -> Self {
        let scanner = if wants.folios {
            Scanner::open_for_folios(gather_btf)
        } else {
            Scanner::open(gather_btf)
        };
        Self(match scanner {
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

impl LiveSource {
    /// The scan of page tables, where it is possible.
    pub(super) fn scanner(&mut self) -> Option<&mut Scanner> {
        match &mut self.0 {
            Way::Scan(scanner) => Some(scanner),
            Way::Ask { .. } => None,
        }
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
pub(super) fn of_one_program<T>(
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
    let tables = scanner.resolve(pagemap).map_err(|error| scan_error(pid, error))?;
    let ranges: Vec<_> = list.vmas.iter().map(Vma::range).collect();
    let mut runs = vec![Vec::new(); ranges.len()];
    let effort = scanner
        .walk(&tables, &ranges, wants, |vma, run| runs[vma].push(run))
        .map_err(|error| scan_error(pid, error))?;
    if !list.space().is_alive() {
        return Err(MapError::Exited { pid });
    }
    let maps = leaf_maps(pid, list.vmas.into_iter().zip(runs))?;
    let origin = Origin {
        pid,
        comm: comm(pid),
        source: Source::PageTables,
        precision: "exact".to_owned(),
        tables: effort.tables,
        retried: effort.retried,
        torn: effort.torn + effort.beside + list.torn,
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
    if wants.folios {
        return Err(MapError::Unsupported(format!(
            "the orders of folios, without the scan: {why}"
        )));
    }
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

pub(super) fn scan_error(pid: u32, error: ScanError) -> MapError {
    match error {
        ScanError::Gone => MapError::Exited { pid },
        ScanError::NoFolios(_) => MapError::Unsupported(error.to_string()),
        error => MapError::Read {
            pid,
            what: "the page tables".to_owned(),
            error: std::io::Error::other(error.to_string()),
        },
    }
}

/// The name of a process, escaped; empty when it is gone.
pub(super) fn comm(pid: u32) -> String {
    let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    escape(comm.strip_suffix(b"\n").unwrap_or(&comm))
}

pub(super) fn map_error(pid: u32, error: vmas::Error) -> MapError {
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

pub(super) fn absent_error(pid: u32, absent: Absent) -> MapError {
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
#[path = "source_tests.rs"]
mod tests;
