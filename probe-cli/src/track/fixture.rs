//! Events and readings for tests.

use probe_common::probe::Probe;

use super::{
    map::Tracked,
    reading::{Reading, Why},
};
use crate::{
    change::Change,
    event::{Actor, Address, Detail, Event, FaultOutcome, SplitInto},
    model::{
        fixture::{run, vma},
        leaf::{LeafKind, LeafSize, Run},
        set::Source,
        vma::Vma,
    },
};

pub(crate) const PID: u32 = 7;

/// An operation that took 10 ns.
pub(crate) fn event(time: u64, probe: Probe, detail: Detail) -> Event {
    let by = Actor { pid: PID, tid: PID, comm: "app".to_owned(), kernel: false, cpu: 0 };
    Event { time, probe, duration: Some(10), pid: Some(PID), by, detail, stacks: None }
}

pub(crate) fn change(time: u64, change: Change) -> Event {
    let probe = match &change {
        Change::Zap { .. } => Probe::Zap,
        Change::Protect { .. } => Probe::Protect,
        Change::Move { .. } => Probe::Move,
        Change::Migrate(_) => Probe::Migrate,
        Change::Restore(_) => Probe::Restore,
        Change::Reclaim(_) => Probe::Reclaim,
        Change::Exec { .. } => Probe::Exec,
        Change::Exit => Probe::Exit,
        _ => Probe::VmaMap,
    };
    event(time, probe, Detail::Change(change))
}

pub(crate) fn fault(time: u64, probe: Probe, address: u64, write: bool) -> Event {
    let outcome = FaultOutcome::Done;
    let address = Address(address);
    event(time, probe, Detail::Fault { address, write, outcome, page_size: None })
}

pub(crate) fn split(time: u64, address: u64) -> Event {
    let address = Address(address);
    let detail = Detail::PmdSplit { address, into: SplitInto::Table, freeze: false };
    event(time, Probe::PmdSplit, detail)
}

/// The first reading.
pub(crate) fn start(time: u64, vma: Vma, runs: Vec<Run>) -> Reading {
    let ranges = vec![vma.range().into()];
    Reading { why: Why::Start, vmas: Some(vec![vma]), ..reading(time, ranges, runs) }
}

/// A map of one VMA from 0 on that was read at `time`: so many bytes, and so many PMD leaves at its beginning.
pub(crate) fn huge(time: u64, bytes: u64, leaves: u64) -> Tracked {
    let mut map = Tracked::new(PID);
    map.read(&start(time, vma(0..bytes), vec![run(0, LeafSize::PMD, leaves, LeafKind::Present)]));
    map
}

/// What marks asked for.
pub(crate) fn reading(time: u64, ranges: Vec<super::reading::Span>, runs: Vec<Run>) -> Reading {
    Reading {
        time,
        duration: 5,
        pid: PID,
        comm: "app".to_owned(),
        why: Why::Marks,
        source: Source::PageTables,
        vmas: None,
        ranges,
        runs,
        torn: 0,
    }
}
