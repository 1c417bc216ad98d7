//! Leaf maps from the page tables themselves, by the eBPF scan.

mod mapped;
mod search;

use std::{
    fs::File,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Ebpf,
    maps::Map,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use probe_common::{
    config::Config,
    scan::{DONE, MARKS, NO_ORDER, Op, RUNS, RunRecord, Scan, kind},
};
use thiserror::Error;

use self::mapped::Mapped;
use super::{
    ProbeError,
    error::brief_program_error,
    object::{self, Sizes},
};
use crate::{
    kernel::facts::Facts,
    model::leaf::{LeafKind, LeafSize, Marks, Run},
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
    /// The page tables change faster than they can be read.
    #[error("the page tables at {0:#x} change faster than they can be read")]
    Restless(u64),
}

/// Steps of one request: each looks at 2 MiB at least, and takes about half a microsecond, so that
/// no request holds a CPU for much more than a millisecond.
const STEPS: u64 = 2048;

/// Requests in a row that may end where they began.
const PATIENCE: u32 = 100;

/// The eBPF scan, ready to be asked.
pub struct Scanner {
    ebpf: Ebpf,
    state: Mapped<Scan>,
    answer: Mapped<[RunRecord; RUNS]>,
}

/// What a scan has read, and how it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Tables of the last level that were read.
    pub tables: u64,
    /// Tables that were read again, because they changed meanwhile.
    pub retried: u64,
    /// Tables that changed each time.
    pub torn: u64,
}

/// An address space, kept alive while it is looked at.
pub struct AddressSpace {
    _pagemap: File,
    pgd: u64,
}

impl Scanner {
    /// Loads the scan and finds out where this kernel keeps what.
    ///
    /// # Errors
    /// When the kernel does not take it, or something that it needs cannot be found.
    pub fn open(facts: &Facts) -> Result<Self, ScanError> {
        if !facts.has_function(LOOP_FUNCTION) {
            return Err(ScanError::Unknown(format!("it has no {LOOP_FUNCTION} (Linux 5.17)")));
        }
        let mut ebpf = object::load(&Config::NONE, Sizes::SMALLEST, 0).map_err(ProbeError::from)?;
        let unknown = |what: &str| ScanError::Unknown(what.to_owned());
        let program: &mut RawTracePoint = ebpf
            .program_mut("scan")
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| unknown("the object has no scan"))?;
        program.load().map_err(|error| ScanError::Program(brief_program_error(&error)))?;
        let map = |name| match ebpf.map(name) {
            Some(Map::Array(data)) => Ok(data.fd().as_fd()),
            _ => Err(unknown("the object lacks a map")),
        };
        let mapping = |error: std::io::Error| ScanError::Program(error.to_string());
        let state = Mapped::new(map("SCAN")?).map_err(mapping)?;
        let answer = Mapped::new(map("RUNS")?).map_err(mapping)?;
        let mut scanner = Self { ebpf, state, answer };
        search::orient(&mut scanner, facts)?;
        Ok(scanner)
    }

    /// Finds the address space behind an open `/proc/PID/pagemap`, which keeps it alive.
    ///
    /// # Errors
    /// When there is none: a kernel thread, or a process that has ended.
    pub fn resolve(&mut self, pagemap: File) -> Result<AddressSpace, ScanError> {
        let number = u64::try_from(pagemap.as_raw_fd()).map_err(|_| ScanError::Gone)?;
        self.request(Op::Resolve, [number, 0, 0])?;
        let state = self.state.read();
        if state.status != DONE {
            return Err(ScanError::Gone);
        }
        Ok(AddressSpace { _pagemap: pagemap, pgd: state.pgd })
    }

    /// Asks for marks, or not.
    pub fn want_marks(&mut self, marks: bool) {
        self.state.update(|state| state.wants = if marks { MARKS } else { 0 });
    }

    /// Hands out the runs of a range of addresses, in order. Holes are what lies between them.
    ///
    /// Leaves that reach out of the range are told whole. Neighbouring runs can be alike.
    ///
    /// # Errors
    /// When the page tables are gone, or change too fast.
    pub fn walk(
        &mut self,
        space: &AddressSpace,
        range: std::ops::Range<u64>,
        mut take: impl FnMut(Run),
    ) -> Result<Effort, ScanError> {
        self.state.update(|state| state.pgd = space.pgd);
        let mut effort = Effort::default();
        let mut cursor = range.start;
        let mut idle = 0;
        while cursor < range.end {
            self.request(Op::Walk, [STEPS, cursor, range.end])?;
            let state = self.state.read();
            if state.status != DONE {
                return Err(ScanError::Gone);
            }
            effort.tables += state.tables;
            effort.retried += state.retried;
            effort.torn += state.torn;
            let runs = usize::try_from(state.runs).unwrap_or(0);
            self.answer.with(|answer| {
                answer
                    .iter()
                    .take(runs)
                    .filter_map(|record| run(record, state.wants))
                    .for_each(&mut take);
            });
            idle = if state.cursor == cursor { idle + 1 } else { 0 };
            if idle > PATIENCE {
                return Err(ScanError::Restless(cursor));
            }
            cursor = state.cursor;
        }
        Ok(effort)
    }

    /// 64 bytes of kernel memory; `None` when they cannot be read.
    fn words(&mut self, address: u64) -> Result<Option<[u64; 8]>, ScanError> {
        self.request(Op::Read, [address, 0, 0])?;
        let state = self.state.read();
        Ok((state.status == DONE).then_some(state.words))
    }

    fn request(&mut self, op: Op, operands: [u64; 3]) -> Result<(), ScanError> {
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = op as u64;
        options.args[1..4].copy_from_slice(&operands);
        let program: &RawTracePoint = self
            .ebpf
            .program("scan")
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| ScanError::Program("the program is gone".to_owned()))?;
        program
            .test_run(options)
            .map(drop)
            .map_err(|error| ScanError::Program(brief_program_error(&error)))
    }
}

/// The run that a record stands for; `None` when it makes no sense.
fn run(record: &RunRecord, wants: u32) -> Option<Run> {
    let marks = Marks {
        young: record.young,
        dirty: record.dirty,
        soft_dirty: record.soft_dirty,
        writable: record.writable,
        uffd_wp: record.uffd_wp,
    };
    Some(Run {
        start: record.start,
        size: LeafSize::from_shift(record.shift)?,
        count: record.count,
        kind: leaf_kind(record.kind)?,
        folio_order: (record.order != NO_ORDER).then_some(record.order),
        marks: (wants & MARKS != 0).then_some(marks),
    })
}

fn leaf_kind(number: u8) -> Option<LeafKind> {
    Some(match number {
        kind::HOLE => LeafKind::Hole,
        kind::PRESENT => LeafKind::Present,
        kind::ZERO => LeafKind::Zero,
        kind::PROT_NONE => LeafKind::ProtNone,
        kind::SWAP => LeafKind::Swap,
        kind::MIGRATION => LeafKind::Migration,
        kind::HW_POISON => LeafKind::HwPoison,
        kind::UFFD_WP => LeafKind::UffdWp,
        kind::UFFD_POISON => LeafKind::UffdPoison,
        kind::GUARD => LeafKind::Guard,
        kind::DEVICE_PRIVATE => LeafKind::DevicePrivate,
        kind::DEVICE_EXCLUSIVE => LeafKind::DeviceExclusive,
        kind::OTHER => LeafKind::Other,
        _ => return None,
    })
}
