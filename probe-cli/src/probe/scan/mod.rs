//! Leaf maps from the page tables themselves: the eBPF program `scan` copies tables on request, and here
//! they become runs.

mod decode;
mod folio;
mod kinds;
mod mapped;
mod marker;
mod search;
mod spans;

use std::{
    fs::File,
    ops::Range,
    os::fd::{AsFd as _, AsRawFd as _},
    thread,
};

use aya::{
    Ebpf,
    maps::Map,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use probe_common::{
    config::Config,
    scan::{self as records, DONE, Op, Orders, PARTS, Part, RANGES, Scan, Table},
    site::Sites,
};
use thiserror::Error;

use self::{
    decode::{Answer, Decoder},
    kinds::Kinds,
    mapped::Mapped,
    spans::{NEAR, spans},
};
use super::{
    ProbeError,
    error::brief_program_error,
    instructions::Instructions,
    object::{self, Sizes},
};
use crate::{
    kernel::facts::{Cast, Facts},
    model::{leaf::Run, set::Wants},
    plan::catalogue::LOOP_FUNCTION,
};

/// Why page tables cannot be scanned.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The kernel did not take the maps.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The kernel did not take the program, or did not run it.
    #[error("the kernel does not run the scan: {0}")]
    Program(String),
    /// Something of the kernel that the scan needs was not found.
    #[error("the scan cannot work on this kernel: {0}")]
    Unknown(String),
    /// The process ended, or its page tables are gone.
    #[error("the page tables are gone: the process has ended")]
    Gone,
    /// Leaf maps can be had, but not the orders of folios.
    #[error("the orders of folios cannot be found on this kernel: {0}")]
    NoFolios(String),
    /// The page tables change faster than they can be read.
    #[error("the page tables at {0:#x} change faster than they can be read")]
    Restless(u64),
}

/// Steps of one request: each looks at an entry above the last level, in some ns, and up to [`PARTS`] of
/// them copy a table, in less than half a microsecond; so no request holds a CPU for much more than a tenth of a
/// millisecond.
const STEPS: u64 = 1 << 14;

/// Steps of one request for folios: each looks at 32 entries, and a page struct that is not in the cache
/// takes up to a hundred ns.
const FOLIO_STEPS: u64 = 1 << 8;

/// Requests in a row that may get no further.
const PATIENCE: u32 = 100;

/// The eBPF scan, ready to be asked.
pub struct Scanner {
    ebpf: Ebpf,
    state: Mapped<Scan>,
    asked: Mapped<[records::Range; RANGES]>,
    parts: Mapped<[Part; PARTS]>,
    tables: Mapped<[Table; PARTS]>,
    orders: Mapped<[Orders; PARTS]>,
    kinds: Kinds,
    /// Where the kernel keeps the frame of the huge page of zeroes, when none could be had: THP may be switched off, and
    /// others have mapped it before.
    huge_zero_pfn: Option<u64>,
    /// What finding folios takes, or why they cannot be found.
    folios: Result<(), String>,
    loads: bool,
}

/// What a scan has read, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Tables of the last level that were read.
    pub tables: u64,
    /// Tables that were read again, because they changed meanwhile.
    pub retried: u64,
    /// Tables that changed each time, of which nothing is told, and leaves across the border of a range.
    pub torn: u64,
    /// Where they are; of some of them that is not known.
    pub torn_at: Vec<Range<u64>>,
    /// Leaves in no range, of which nothing is told: what lies between ranges that are near each other is read too.
    pub beside: u64,
}

/// An address space, kept alive while it is looked at.
pub struct AddressSpace {
    _pagemap: File,
    pgd: u64,
}

impl Scanner {
    /// Loads the scan and finds out where this kernel keeps what.
    ///
    /// The facts are gathered while the object is loaded: both take some ms, most of it for the kernel's BTF,
    /// which aya reads whether or not it is needed.
    ///
    /// # Errors
    /// When the kernel does not take it, or something that it needs cannot be found.
    pub fn open(gather: impl FnOnce() -> Facts + Send) -> Result<Self, ScanError> {
        let (facts, object) = thread::scope(|scope| {
            let facts = scope.spawn(gather);
            let object = load(None);
            (facts.join(), object)
        });
        let facts = facts.map_err(|_| ScanError::Unknown("gathering facts failed".to_owned()))?;
        has_loops(&facts)?;
        Self::with(&facts, verified(object?)?)
    }

    /// The same for a scan with folios, which the kernel's BTF can make faster: so the facts come first.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for_folios(gather: impl FnOnce() -> Facts) -> Result<Self, ScanError> {
        let facts = gather();
        has_loops(&facts)?;
        if facts.cast.is_some() {
            match load(facts.cast).and_then(verified) {
                Ok(ebpf) => return Ok(Self { loads: true, ..Self::with(&facts, ebpf)? }),
                Err(error) => log::debug!("no plain loads of page structs: {error}"),
            }
        }
        Self::with(&facts, load(None).and_then(verified)?)
    }

    /// Whether page structs are read by plain loads (Linux 6.2), which takes a fraction of the time.
    #[must_use]
    pub fn reads_by_loads(&self) -> bool {
        self.loads
    }

    fn with(facts: &Facts, ebpf: Ebpf) -> Result<Self, ScanError> {
        let map = |name| match ebpf.map(name) {
            Some(Map::Array(data)) => Ok(data.fd().as_fd()),
            _ => Err(ScanError::Unknown("the object lacks a map".to_owned())),
        };
        let mapping = |error: std::io::Error| ScanError::Program(error.to_string());
        let state = Mapped::new(map("SCAN")?).map_err(mapping)?;
        let asked = Mapped::new(map("RANGES")?).map_err(mapping)?;
        let parts = Mapped::new(map("PARTS")?).map_err(mapping)?;
        let tables = Mapped::new(map("TABLES")?).map_err(mapping)?;
        let orders = Mapped::new(map("ORDERS")?).map_err(mapping)?;
        let (kinds, folios) = (Kinds::new(facts, marker::swap_type()), Ok(()));
        let mut scanner = Self {
            ebpf,
            state,
            asked,
            parts,
            tables,
            orders,
            kinds,
            huge_zero_pfn: None,
            folios,
            loads: false,
        };
        let own = search::orient(&mut scanner, facts)?;
        scanner.folios = folio::orient(&mut scanner, facts, &own)?;
        Ok(scanner)
    }

    /// Finds the address space behind an open `/proc/PID/pagemap`, which keeps it alive.
    ///
    /// # Errors
    /// When there is none: a kernel thread, or a process that has ended.
    pub fn resolve(&mut self, pagemap: File) -> Result<AddressSpace, ScanError> {
        let number = u64::try_from(pagemap.as_raw_fd()).map_err(|_| ScanError::Gone)?;
        self.request(Op::Resolve, number)?;
        Ok(AddressSpace { _pagemap: pagemap, pgd: self.state.get().pgd })
    }

    /// Hands out the runs of some ranges of addresses, in order, each with the number of its range.
    /// Holes are what lies between runs.
    ///
    /// The ranges are in order and do not overlap: the VMAs of the address space, or some of them.
    ///
    /// # Errors
    /// When the page tables are gone, or change too fast; when folios are wanted and cannot be found here.
    pub fn walk(
        &mut self,
        space: &AddressSpace,
        ranges: &[Range<u64>],
        wants: Wants,
        take: impl FnMut(usize, Run),
    ) -> Result<Effort, ScanError> {
        if let (true, Err(why)) = (wants.folios, &self.folios) {
            return Err(ScanError::NoFolios(why.clone()));
        }
        let mut kinds = self.kinds.clone();
        if kinds.huge_zero_frame.is_none() {
            kinds.huge_zero_frame = search::find_huge_zero(self)?;
        }
        let mut decoder = Decoder::new(&kinds, ranges, wants, take);
        let mut effort = Effort::default();
        for spans in spans(ranges, NEAR).chunks(RANGES) {
            self.ask(space, spans);
            let mut idle = 0;
            loop {
                let before = self.place();
                self.request(Op::Walk, STEPS)?;
                if wants.folios {
                    self.find_folios()?;
                }
                let state = self.state.get();
                effort.tables += state.tables;
                effort.retried += state.retried;
                effort.torn += state.torn;
                let parts = self.parts.get();
                let count = usize::try_from(state.parts).map_or(PARTS, |count| count.min(PARTS));
                decoder.answer(Answer {
                    parts: &parts[..count],
                    tables: self.tables.get(),
                    orders: self.orders.get(),
                });
                if state.range >= state.ranges && state.cursor >= state.end {
                    break;
                }
                idle = if self.place() == before { idle + 1 } else { 0 };
                if idle > PATIENCE {
                    return Err(ScanError::Restless(state.cursor));
                }
            }
        }
        let misplaced = decoder.finish();
        effort.torn += misplaced.across.len() as u64 + misplaced.twice;
        effort.torn_at = [misplaced.torn, misplaced.across].concat();
        effort.beside += misplaced.beside;
        Ok(effort)
    }

    /// Prepares for the first request about some ranges.
    fn ask(&mut self, space: &AddressSpace, ranges: &[Range<u64>]) {
        self.asked.update(|asked| {
            for (asked, range) in asked.iter_mut().zip(ranges) {
                *asked = records::Range { start: range.start, end: range.end };
            }
        });
        self.state.update(|state| {
            state.pgd = space.pgd;
            state.ranges = u32::try_from(ranges.len()).unwrap_or(0);
            (state.range, state.cursor, state.end) = (0, 0, 0);
            (state.attempts, state.attempts_above) = (0, 0);
        });
    }

    /// How far the walk has come.
    fn place(&self) -> (u32, u64) {
        let state = self.state.get();
        (state.range, state.cursor)
    }

    /// Finds the folios of all entries of the answer.
    fn find_folios(&mut self) -> Result<(), ScanError> {
        self.state.update(|state| {
            (state.folio_part, state.folio_entry, state.folio_count) = (0, 0, 0);
        });
        while self.state.get().folio_part < self.state.get().parts {
            self.request(Op::Folios, FOLIO_STEPS)?;
        }
        Ok(())
    }

    /// 64 bytes of kernel memory; `None` when they cannot be read.
    fn words(&mut self, address: u64) -> Result<Option<[u64; 8]>, ScanError> {
        match self.request(Op::Read, address) {
            Ok(()) => Ok(Some(self.state.get().words)),
            Err(ScanError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Runs the program once.
    fn request(&mut self, op: Op, operand: u64) -> Result<(), ScanError> {
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = op as u64;
        options.args[1] = operand;
        let program: &RawTracePoint = self
            .ebpf
            .program("scan")
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| ScanError::Program("the program is gone".to_owned()))?;
        program
            .test_run(options)
            .map_err(|error| ScanError::Program(brief_program_error(&error)))?;
        if self.state.get().status == DONE { Ok(()) } else { Err(ScanError::Gone) }
    }
}

/// Creates the maps.
fn load(cast: Option<Cast>) -> Result<Ebpf, ScanError> {
    // The scan has no exchanges.
    let instructions = Instructions { cast, exchange: true };
    Ok(object::load(&Config::NONE, &Sites::NONE, Sizes::SMALLEST, 0, instructions)
        .map_err(ProbeError::from)?)
}

/// Has the kernel verify the program.
fn verified(mut ebpf: Ebpf) -> Result<Ebpf, ScanError> {
    let program: &mut RawTracePoint = ebpf
        .program_mut("scan")
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| ScanError::Unknown("the object has no scan".to_owned()))?;
    program.load().map_err(|error| ScanError::Program(brief_program_error(&error)))?;
    Ok(ebpf)
}

/// Without the loop helper the kernel would only say that it does not know it.
fn has_loops(facts: &Facts) -> Result<(), ScanError> {
    if facts.has_function(LOOP_FUNCTION) {
        Ok(())
    } else {
        Err(ScanError::Unknown(format!("it has no {LOOP_FUNCTION} (Linux 5.17)")))
    }
}
