//! The inputs of a long trace: faults, splits and changes of one process, and readings of what they marked.

use probe_common::probe::Probe;
use walkprobe::{
    change::Change,
    event::{Actor, Address, Detail, Event, FaultOutcome, SplitInto},
    input::Input,
    model::{
        leaf::{LeafKind, LeafSize, Run},
        set::Source,
        vma::{Permissions, Vma, VmaKind},
    },
    track::reading::{Reading, Span, Why},
};

const PID: u32 = 4321;
const START: u64 = 0x7f00_0000_0000;
/// Of the memory that is touched.
const BYTES: u64 = 64 << 20;
const PAGE: u64 = 4096;
/// So many events between two readings: a quarter of a second of 100,000 a second.
const TICK: u64 = 25_000;

/// Hands out inputs with so many events among them.
pub(crate) fn each<E>(events: u64, mut take: impl FnMut(&Input) -> Result<(), E>) -> Result<(), E> {
    let mut kinds = kinds().map(Input::from);
    let mut time = 1_000_000_000;
    take(&reading(time, Why::Start).into())?;
    for number in 0..events {
        time += 10_000;
        let kind = usize::try_from(number % 16).unwrap_or(0);
        let address = START + (number * PAGE) % BYTES;
        if let Input::Event(event) = &mut kinds[kind] {
            event.time = time;
            place(&mut event.detail, address);
        }
        take(&kinds[kind])?;
        if number % TICK == TICK - 1 {
            time += 10_000;
            take(&reading(time, Why::Marks).into())?;
        }
    }
    Ok(())
}

/// Sixteen events: mostly faults, as they are.
fn kinds() -> [Event; 16] {
    let at = Address(START);
    std::array::from_fn(|number| match number {
        3 => event(
            Probe::PmdSplit,
            Detail::PmdSplit { address: at, into: SplitInto::Table, freeze: false },
        ),
        7 => event(
            Probe::Protect,
            Detail::Change(Change::Protect { start: at, end: at, pages: Some(1) }),
        ),
        11 => event(Probe::Zap, Detail::Change(Change::Zap { start: at, end: at })),
        _ => event(
            Probe::MmFault,
            Detail::Fault {
                address: at,
                write: true,
                outcome: FaultOutcome::Done,
                page_size: Some(PAGE),
            },
        ),
    })
}

fn event(probe: Probe, detail: Detail) -> Event {
    let by = Actor { pid: PID, tid: PID + 1, comm: "postgres".to_owned(), kernel: false, cpu: 3 };
    Event { time: 0, probe, duration: Some(1234), pid: Some(PID), by, detail, stacks: None }
}

/// Puts what an event is about elsewhere.
fn place(detail: &mut Detail, at: u64) {
    match detail {
        Detail::Fault { address, .. } | Detail::PmdSplit { address, .. } => *address = Address(at),
        Detail::Change(Change::Protect { start, end, .. } | Change::Zap { start, end }) => {
            (*start, *end) = (Address(at), Address(at + PAGE));
        }
        _ => {}
    }
}

/// All of it: base pages, but for a leaf in four.
fn reading(time: u64, why: Why) -> Reading {
    let run = |table: u64| {
        let start = START + (table << LeafSize::PMD.shift());
        let (size, count) =
            if table.is_multiple_of(4) { (LeafSize::PMD, 1) } else { (LeafSize::BASE, 512) };
        Run { start, size, count, kind: LeafKind::Present, folio_order: None, marks: None }
    };
    let vma = Vma {
        start: START,
        end: START + BYTES,
        permissions: Permissions { read: true, write: true, execute: false, shared: false },
        kind: VmaKind::Anonymous,
        name: String::new(),
        offset: 0,
        flags: None,
    };
    Reading {
        time,
        duration: 100_000,
        pid: PID,
        comm: "postgres".to_owned(),
        why,
        source: Source::PageTables,
        vmas: (why == Why::Start).then(|| vec![vma]),
        ranges: vec![Span(Address(START), Address(START + BYTES))],
        runs: (0..BYTES >> LeafSize::PMD.shift()).map(run).collect(),
        torn: 0,
    }
}
