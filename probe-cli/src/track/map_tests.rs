//! What events and readings make of a map.

use proptest::prelude::*;

use super::{
    fixture::{self, PID},
    log::Cause,
    map::Tracked,
    pieces::Known,
    reading::{Reading, Span, Why},
};
use crate::{
    change::{Change, Folio, VmaChange},
    event::{Address, Detail, FaultOutcome},
    model::{
        diff::{State, diff},
        fixture::{any_set, run, vma},
        leaf::{LeafKind, LeafSize, Run},
        set::TranslationSet,
        vma::Vma,
    },
};
use probe_common::probe::Probe;

const M: u64 = 1 << 20;
const PAGE: u64 = 4096;
const HUGE: State = State::Leaf(LeafSize::PMD, LeafKind::Present);
const BASE: State = State::Leaf(LeafSize::BASE, LeafKind::Present);

/// 8 MiB, the first four of them by huge leaves.
fn tracked() -> Tracked {
    fixture::huge(100, 8 * M, 2)
}

fn what(map: &Tracked) -> Vec<(u64, State, Known)> {
    map.pieces(&(0..u64::MAX))
        .into_iter()
        .map(|(range, piece)| (range.end - range.start, piece.state, piece.source))
        .collect()
}

/// Transactions as `before -> after: bytes`.
fn changes(map: &Tracked, number: u64) -> Vec<String> {
    let transaction = map.transaction(number).unwrap();
    let text = |((before, after), bytes): (&(State, State), &u64)| {
        format!("{before} -> {after}: {}", crate::units::bytes(*bytes))
    };
    transaction.changes.iter().map(text).collect()
}

fn span(start: u64, end: u64) -> Vec<Span> {
    vec![(start..end).into()]
}

#[test]
fn a_split_is_observed_and_then_scanned() {
    let mut map = tracked();
    map.event(fixture::split(200, 2 * M));
    assert_eq!(what(&map)[1], (2 * M, BASE, Known::Observed));
    assert_eq!(changes(&map, 1), ["2M -> 4K: 2M"]);
    let read = vec![run(2 * M, LeafSize::BASE, 512, LeafKind::Present)];
    map.read(&fixture::reading(300, span(2 * M, 4 * M), read));
    assert_eq!(what(&map)[1], (2 * M, BASE, Known::Scanned));
    let (_, piece) = map.pieces(&(2 * M..4 * M))[0].clone();
    assert_eq!((piece.was, piece.by, piece.since), (HUGE, 1, 210));
    assert!(map.transaction(1).unwrap().settled == Some(305));
}

#[test]
fn a_fault_gets_what_was_mapped_around_it() {
    let mut map = tracked();
    map.event(fixture::fault(200, Probe::MmFault, 5 * M, false));
    map.event(fixture::fault(220, Probe::MmFault, 5 * M + 300 * PAGE, false));
    assert_eq!(changes(&map, 1), ["hole -> 4K: 4K"]);
    let read = vec![
        run(5 * M, LeafSize::BASE, 16, LeafKind::Present),
        run(5 * M + 296 * PAGE, LeafSize::BASE, 8, LeafKind::Present),
    ];
    map.read(&fixture::reading(300, span(4 * M, 8 * M), read));
    assert_eq!(changes(&map, 1), ["hole -> 4K: 64K"]);
    assert_eq!(changes(&map, 2), ["hole -> 4K: 32K"]);
}

#[test]
fn a_wrong_inference_is_taken_back() {
    let mut map = tracked();
    let zap = Change::Zap { start: Address(0), end: Address(4 * M) };
    map.event(fixture::change(200, zap));
    assert_eq!(changes(&map, 1), ["2M -> hole: 4M"]);
    let read = vec![run(0, LeafSize::PMD, 1, LeafKind::Present)];
    map.read(&fixture::reading(300, span(0, 4 * M), read));
    assert_eq!(changes(&map, 1), ["2M -> hole: 2M"]);
}

#[test]
fn a_thp_fault_stands_for_the_fault_around_it() {
    let mut map = tracked();
    map.event(fixture::fault(203, Probe::ThpFault, 5 * M, true));
    let mut outer = fixture::fault(200, Probe::MmFault, 5 * M, true);
    outer.duration = Some(20);
    map.event(outer.clone());
    assert_eq!(map.transactions().len(), 1);
    assert_eq!(changes(&map, 1), ["hole -> 2M: 2M"]);
}

#[test]
fn half_of_a_huge_leaf_can_go() {
    let mut map = tracked();
    let (start, end) = (Address(M), Address(3 * M));
    let unmap = Change::Vma { change: VmaChange::Unmap, start, end, errno: 0 };
    map.event(fixture::change(200, unmap));
    let ranges: Vec<_> = map.vmas().map(Vma::range).collect();
    assert_eq!(ranges, [0..M, 3 * M..8 * M]);
    assert_eq!(changes(&map, 1), ["4K -> no VMA: 2M"]);
    assert_eq!(map.snapshot().statistics().mapped(), 2 * M);
}

#[test]
fn moved_leaves_keep_their_size_where_they_fit() {
    let mut map = tracked();
    let moved = |start, end, to| {
        let (start, end, to) = (Address(start), Address(end), Address(to));
        Change::Move { start, end, to }
    };
    map.event(fixture::change(200, moved(0, 4 * M, 64 * M)));
    assert_eq!(what(&map)[2], (4 * M, HUGE, Known::Inferred));
    map.event(fixture::change(300, moved(64 * M, 68 * M, 129 * M)));
    assert_eq!(map.pieces(&(129 * M..133 * M))[0].1.state, BASE);
}

#[test]
fn folios_go_out_and_come_back() {
    let mut map = tracked();
    let folio = Folio { start: Address(0), end: Some(Address(2 * M)), done: true };
    map.event(fixture::change(200, Change::Migrate(folio)));
    assert_eq!(what(&map)[0].1, State::Leaf(LeafSize::PMD, LeafKind::Migration));
    map.event(fixture::change(300, Change::Restore(folio)));
    assert_eq!(what(&map)[0].1, HUGE);
    map.event(fixture::change(400, Change::Reclaim(folio)));
    assert_eq!(what(&map)[0].1, State::Leaf(LeafSize::PMD, LeafKind::Swap));
}

#[test]
fn an_old_event_does_not_undo_a_newer_reading() {
    let mut map = tracked();
    let zap = Change::Zap { start: Address(0), end: Address(2 * M) };
    map.read(&fixture::reading(
        300,
        span(0, 2 * M),
        vec![run(0, LeafSize::PMD, 1, LeafKind::Present)],
    ));
    map.event(fixture::change(200, zap));
    assert_eq!(what(&map)[0], (4 * M, HUGE, Known::Scanned));
}

#[test]
fn what_no_event_told_of_is_unseen() {
    let mut map = tracked();
    map.read(&Reading { why: Why::Turn, ..fixture::reading(300, span(0, 4 * M), vec![]) });
    assert_eq!(map.transaction(1).unwrap().cause, Cause::Unseen);
    assert_eq!(changes(&map, 1), ["2M -> hole: 4M"]);
    assert_eq!(map.transaction(1).unwrap().ranges[0], 0..4 * M);
}

#[test]
fn an_operation_that_was_under_way_claims_its_work() {
    let mut map = tracked();
    map.read(&Reading { why: Why::Turn, ..fixture::reading(300, span(0, 4 * M), vec![]) });
    let zap = Change::Zap { start: Address(0), end: Address(2 * M) };
    map.event(fixture::change(295, zap));
    assert_eq!(changes(&map, 1), ["2M -> hole: 2M"]);
    assert_eq!(changes(&map, 2), ["2M -> hole: 2M"]);
    let (_, piece) = map.pieces(&(0..2 * M))[0].clone();
    assert_eq!((piece.by, piece.since), (2, 305));
    // It was over before the reading began.
    let (start, end) = (Address(2 * M), Address(4 * M));
    map.event(fixture::change(200, Change::Zap { start, end }));
    assert_eq!(changes(&map, 1), ["2M -> hole: 2M"]);
    map.event(fixture::change(304, Change::Zap { start, end }));
    assert!(map.transaction(1).is_none());
    // The same for what has no VMA any more.
    let rest = vma(0..4 * M);
    let mut list = fixture::start(400, rest, vec![]);
    list.why = Why::Turn;
    map.read(&list);
    assert_eq!(changes(&map, 5), ["hole -> no VMA: 4M"]);
    let (start, end) = (Address(4 * M), Address(8 * M));
    map.event(fixture::change(390, Change::Vma { change: VmaChange::Unmap, start, end, errno: 0 }));
    assert!(map.transaction(5).is_none());
    assert_eq!(changes(&map, 6), ["hole -> no VMA: 4M"]);
}

#[test]
fn what_is_read_in_the_midst_of_an_operation_is_not_its_effect() {
    let mut map = tracked();
    // A page is taken away, and comes back.
    let merge = Change::KsmMerge { start: Address(0), end: Address(2 * M) };
    map.event(fixture::change(299, merge));
    map.read(&fixture::reading(300, span(0, 2 * M), vec![]));
    assert_eq!(changes(&map, 1), ["2M -> hole: 2M"]);
    let back = vec![run(0, LeafSize::PMD, 1, LeafKind::Present)];
    map.read(&fixture::reading(400, span(0, 2 * M), back));
    assert!(changes(&map, 1).is_empty());
}

#[test]
fn losses_make_all_stale_and_a_reading_mends_it() {
    let mut map = tracked();
    map.lost(200, 3);
    assert!(what(&map).iter().all(|(_, _, known)| *known == Known::Stale));
    let mut all = fixture::start(300, vma(0..8 * M), vec![]);
    all.why = Why::Missed;
    map.read(&all);
    assert!(
        what(&map).iter().all(|&(_, state, known)| (state, known) == (State::Hole, Known::Scanned))
    );
    assert_eq!(map.transaction(1).unwrap().cause, Cause::Lost(3));
    assert_eq!(changes(&map, 1), ["2M -> hole: 4M"]);
}

#[test]
fn exec_and_exit_leave_nothing() {
    let mut map = tracked();
    map.event(fixture::change(200, Change::Exec { errno: 0 }));
    assert!(what(&map).is_empty() && map.vmas().len() == 0 && !map.has_ended());
    assert_eq!(changes(&map, 1), ["hole -> no VMA: 4M", "2M -> no VMA: 4M"]);
    map.read(&fixture::start(300, vma(0..4 * M), vec![]));
    map.event(fixture::split(390, 0));
    map.event(fixture::change(400, Change::Exit));
    assert!(map.has_ended());
    assert!(map.transactions().iter().all(|transaction| transaction.settled.is_some()));
}

#[test]
fn an_exec_that_is_told_late_does_not_void_what_came_after() {
    let mut map = tracked();
    map.event(fixture::change(50, Change::Exit));
    map.event(fixture::change(60, Change::Exec { errno: 0 }));
    assert!(!map.has_ended() && map.vmas().len() == 1);
}

#[test]
fn single_pages_do_not_fill_the_memory() {
    let mut map = tracked();
    for page in 0..512 {
        map.event(fixture::fault(200 + page, Probe::MmFault, 4 * M + page * PAGE, true));
    }
    assert!(what(&map).len() > 500);
    let read = vec![run(4 * M, LeafSize::BASE, 512, LeafKind::Present)];
    map.read(&fixture::reading(1000, span(4 * M, 6 * M), read));
    assert!(what(&map).len() < 5, "{:?}", what(&map));
}

#[test]
fn what_was_mapped_is_a_hole_at_once() {
    let mut map = tracked();
    let (start, end) = (Address(16 * M), Address(18 * M));
    let mapped = Change::Vma { change: VmaChange::Map, start, end, errno: 0 };
    map.event(fixture::change(200, mapped));
    map.event(fixture::fault(220, Probe::MmFault, 16 * M, true));
    assert_eq!(changes(&map, 1), ["no VMA -> hole: 2M"]);
    assert_eq!(changes(&map, 2), ["hole -> 4K: 4K"]);
    // It was unmapped, and that event was lost.
    let mut all =
        fixture::start(300, vma(0..8 * M), vec![run(0, LeafSize::PMD, 2, LeafKind::Present)]);
    all.why = Why::Missed;
    map.read(&all);
    assert!(map.pieces(&(8 * M..u64::MAX)).is_empty());
}

#[test]
fn what_grew_is_laid_to_its_vma() {
    let mut map = tracked();
    let (start, end) = (Address(0), Address(9 * M));
    map.event(fixture::fault(190, Probe::MmFault, 8 * M, true));
    let grown = Change::Vma { change: VmaChange::Resize, start, end, errno: 0 };
    map.event(fixture::change(200, grown));
    let page = run(8 * M, LeafSize::BASE, 1, LeafKind::Present);
    let mut list = fixture::start(300, vma(0..9 * M), vec![page]);
    (list.why, list.ranges) = (Why::Marks, span(8 * M, 9 * M));
    map.read(&list);
    assert_eq!(changes(&map, 1), ["no VMA -> 4K: 4K"]);
    assert_eq!(changes(&map, 2), ["no VMA -> hole: 1020K"]);
}

#[test]
fn a_fork_is_one_transaction() {
    let mut map = tracked();
    let fork = |time, start, end| {
        let (start, end) = (Address(start), Address(end));
        fixture::change(time, Change::Fork { start, end, errno: 0 })
    };
    for (time, start) in [(200, 0), (220, 8 * M), (300, 0), (320, 8 * M), (340, 64 * M)] {
        map.event(fork(time, start, start + M));
    }
    let told: Vec<_> = map
        .transactions()
        .iter()
        .map(|fork| (fork.time, fork.end(), fork.ranges[0].clone(), fork.settled))
        .collect();
    assert_eq!(told, [(200, 230, 0..9 * M, Some(230)), (300, 350, 0..65 * M, Some(350))]);
}

#[test]
fn a_fault_that_fell_back_is_told_by_the_next_one() {
    let mut map = tracked();
    let mut fault = fixture::fault(200, Probe::ThpWpFault, 0, true);
    if let Detail::Fault { outcome, .. } = &mut fault.detail {
        *outcome = FaultOutcome::Fallback;
    }
    map.event(fault.clone());
    assert!(map.transactions().is_empty());
}

#[test]
fn a_torn_reading_settles_what_it_tells() {
    let mut map = tracked();
    map.event(fixture::split(200, 0));
    map.event(fixture::split(220, 2 * M));
    let base = run(0, LeafSize::BASE, 512, LeafKind::Present);
    map.read(&Reading { torn: 1, ..fixture::reading(300, span(0, 2 * M), vec![base]) });
    let settled = |map: &Tracked, number| map.transaction(number).unwrap().settled;
    assert_eq!((settled(&map, 1), settled(&map, 2)), (Some(305), None));
    let base = run(2 * M, LeafSize::BASE, 512, LeafKind::Present);
    map.read(&fixture::reading(400, span(2 * M, 4 * M), vec![base]));
    assert_eq!((settled(&map, 1), settled(&map, 2)), (Some(305), Some(405)));
}

/// A reading of all that a set has.
fn whole(time: u64, set: &TranslationSet) -> Reading {
    let runs: Vec<Run> = set
        .iter()
        .map(|batch| Run { folio_order: None, marks: None, ..batch.run })
        .filter(|run| run.kind != LeafKind::Hole)
        .collect();
    let ranges = set.vmas().map(|vma| vma.range().into()).collect();
    let vmas = Some(set.vmas().cloned().collect());
    Reading { why: Why::Missed, vmas, ..fixture::reading(time, ranges, runs) }
}

proptest! {
    #[test]
    fn a_reading_has_the_last_word(
        before in any_set(),
        after in any_set(),
        zaps in prop::collection::vec((0..1_u64 << 32, 1_u64..1 << 24, 0_u8..6), 0..8),
    ) {
        let mut map = Tracked::new(PID);
        map.read(&Reading { why: Why::Start, ..whole(100, &before) });
        prop_assert!(diff(&map.snapshot(), &before).is_empty());
        for (time, (start, length, kind)) in (200..).step_by(20).zip(zaps) {
            let (start, end) = (Address(start), Address(start + length));
            map.event(fixture::change(time, match kind {
                0 => Change::Zap { start, end },
                1 => Change::Move { start, end, to: Address(length << 12) },
                2 => Change::Vma { change: VmaChange::Unmap, start, end, errno: 0 },
                3 => Change::Migrate(Folio { start, end: Some(end), done: true }),
                4 => Change::Protect { start, end, pages: Some(1) },
                _ => Change::Vma { change: VmaChange::Map, start, end, errno: 0 },
            }));
        }
        // Whatever was thought: it is a possible map, and what is read counts.
        let _ = map.snapshot();
        map.read(&whole(1000, &after));
        prop_assert!(diff(&map.snapshot(), &after).is_empty());
        prop_assert_eq!(map.snapshot().maps().len(), after.maps().len());
    }
}
