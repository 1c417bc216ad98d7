//! Made-up maps for tests, and what is done to them.

use probe_common::probe::Probe;

use super::{
    Input,
    fixture::{HOSTILE, collapse, event, split},
};
use crate::{
    census::{Count, Found},
    change::Change,
    event::{Address, Detail, Event, SplitInto},
    model::{
        diff::State,
        fixture::{named, run},
        leaf::{LeafKind, LeafSize, Run},
        set::Source,
        sizes::Sizes,
        vma::{Vma, VmaKind},
    },
    track::reading::{Reading, Why},
};

/// The process that [`map`] is of: one of those of [`busy`](super::fixture::busy).
pub(super) const OPENED: u32 = 1000;

/// Where the VMA begins that the operations of [`changes`] are on.
const ANONYMOUS: u64 = 0x7f12_3400_0000;

/// The map of [`OPENED`] as it is read first: no VMA, or some of real life and so many more.
pub(super) fn map(more: Option<u64>) -> Reading {
    const M: u64 = 1 << 20;
    let Some(more) = more else { return first_reading(Vec::new(), Vec::new()) };
    let file = "/usr/lib/postgresql/17/bin/postgres";
    let mut vmas = vec![
        named(0x5555_5540_0000..0x5555_55c0_0000, VmaKind::File, file),
        named(0x5555_5700_0000..0x5555_5780_0000, VmaKind::Heap, "[heap]"),
        named(ANONYMOUS..ANONYMOUS + 64 * M, VmaKind::Anonymous, ""),
    ];
    let mut runs = vec![
        run(0x5555_5540_0000, LeafSize::BASE, 700, LeafKind::Present),
        run(0x5555_5700_0000, LeafSize::BASE, 1000, LeafKind::Present),
        run(ANONYMOUS, LeafSize::PMD, 20, LeafKind::Present),
        run(ANONYMOUS + 40 * M, LeafSize::BASE, 600, LeafKind::Present),
        run(ANONYMOUS + 44 * M, LeafSize::BASE, 300, LeafKind::Swap),
    ];
    for i in 0..more {
        let start = 0x7f20_0000_0000 + i * 4 * M;
        let name = HOSTILE[usize::try_from(i).unwrap() % 10];
        vmas.push(named(start..start + M, VmaKind::File, name));
        runs.push(run(start, LeafSize::BASE, 1 + i % 256, LeafKind::Present));
    }
    let pool = 0x7f40_0000_0000;
    let kind = VmaKind::Hugetlb(LeafSize::PUD);
    vmas.push(named(pool..pool + (2 << 30), kind, "/dev/hugepages/pool"));
    runs.push(run(pool, LeafSize::PUD, 1, LeafKind::Present));
    first_reading(vmas, runs)
}

/// The map of [`OPENED`] when it has one VMA.
pub(super) fn small_map() -> Reading {
    let stack = 0x7ffc_0000_0000;
    let vma = named(stack..stack + 0x2_1000, VmaKind::Stack, "[stack]");
    first_reading(vec![vma], vec![run(stack + 0x1_f000, LeafSize::BASE, 2, LeafKind::Present)])
}

fn first_reading(vmas: Vec<Vma>, runs: Vec<Run>) -> Reading {
    Reading {
        time: 3_100_000_000,
        duration: 2_000_000,
        pid: OPENED,
        comm: "postgres".to_owned(),
        why: Why::Start,
        source: Source::PageTables,
        ranges: vmas.iter().map(|vma| vma.range().into()).collect(),
        vmas: Some(vmas),
        runs,
        torn: 0,
    }
}

/// Operations on the map of [`OPENED`], so many splits before others, and a reading of some of what they did.
pub(super) fn changes(splits: u64) -> Vec<Input> {
    let ms = |ms: u64| 3_100_000_000 + ms * 1_000_000;
    let huge = |i: u64| Address(ANONYMOUS + (i << 21));
    let split_at = |i: u64| Event {
        detail: Detail::PmdSplit { address: huge(i % 8), into: SplitInto::Table, freeze: false },
        ..split(ms(3 + i), OPENED)
    };
    let mut inputs: Vec<Input> = (0..splits).map(|i| Input::from(split_at(i))).collect();
    let time = ms(10 + splits);
    let read = vec![run(huge(0).0, LeafSize::BASE, 8 * 512, LeafKind::Present)];
    let range = (huge(0).0..huge(8).0).into();
    let again = Reading {
        time,
        why: Why::Marks,
        vmas: None,
        ranges: vec![range],
        runs: read,
        ..small_map()
    };
    inputs.push(again.into());
    let zap = Detail::Change(Change::Zap { start: huge(18), end: huge(20) });
    inputs.push(event(time + 2_000_000_000, Probe::Zap, OPENED, zap).into());
    inputs.push(Event { time: time + 6_000_000_000, ..collapse(0, OPENED) }.into());
    inputs
}

/// The totals of as many processes as [`busy`](super::fixture::busy) has.
pub(super) fn counts(processes: u32) -> Input {
    let count = |i: u32| {
        let mut sizes = Sizes::default();
        let leaf = |size| State::Leaf(size, LeafKind::Present);
        sizes.add(leaf(LeafSize::PMD), u64::from(i) << 21);
        sizes.add(leaf(LeafSize::BASE), u64::from(i * 977) << 12);
        sizes.add(State::Leaf(LeafSize::BASE, LeafKind::Swap), u64::from(i % 3) << 12);
        let (pid, time) = (1000 + i * 7, 1_500_000_000);
        Count { time, pid, comm: "counted".to_owned(), sizes }
    };
    Found { counts: (0..processes).map(count).collect(), gone: Vec::new(), left_out: 2 }.into()
}
