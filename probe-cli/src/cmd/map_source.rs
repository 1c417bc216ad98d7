//! Leaf maps of running processes: from the page tables where eBPF can run, else from the best of
//! the kernel's own interfaces.

use std::fs::File;

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
    probe::scan::{ScanError, Scanner},
};

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
        torn: effort.torn + list.torn,
    };
    Ok((maps, origin))
}

/// Asks the kernel's own interfaces.
fn asked(pid: u32, wants: Wants, why: &ScanError) -> Result<(Vec<LeafMap>, Origin), MapError> {
    if wants.folios {
        return Err(MapError::Unsupported(format!(
            "the orders of folios, without the scan: {why}"
        )));
    }
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

fn scan_error(pid: u32, error: ScanError) -> MapError {
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
