//! What an operation usually does to leaves, so that the map is nearly right at once. A reading has the last word.

use std::ops::Range;

use probe_common::probe::Probe;

use super::pieces::{Known, Pieces, is_mapped, with_kind};
use crate::{
    change::{Change, Folio, UffdRequest, VmaChange},
    event::{Detail, Event, FaultOutcome, SplitInto},
    model::{
        diff::State,
        leaf::{LeafKind, LeafSize},
        vma::{Vma, VmaKind},
    },
};

/// What stands where after an operation.
pub(super) type After = Vec<(Range<u64>, State)>;

const PRESENT: State = State::Leaf(LeafSize::BASE, LeafKind::Present);
const HUGE: State = State::Leaf(LeafSize::PMD, LeafKind::Present);
/// Order of a folio that a PMD leaf maps whole.
const PMD_ORDER: u32 = 9;

/// What an operation did, by what it usually does; `ranges` are those of its
/// [`Reach`](super::reach::Reach). What is not told stays as it was.
pub(super) fn infer(
    event: &Event,
    ranges: &[Range<u64>; 2],
    pieces: &Pieces,
    vma_at: impl Fn(u64) -> Option<Vma>,
) -> After {
    let range = &ranges[0];
    match &event.detail {
        Detail::Fault { write, outcome: FaultOutcome::Done | FaultOutcome::Unknown, .. } => {
            fault(event.probe, *write, range, pieces)
        }
        Detail::PmdSplit { into, freeze, .. } => parts(pieces, range, |state| match into {
            SplitInto::Nothing => State::Hole,
            SplitInto::Table if *freeze => State::Leaf(LeafSize::BASE, LeafKind::Migration),
            SplitInto::Table => match state {
                State::Leaf(_, kind) => State::Leaf(LeafSize::BASE, kind),
                State::NoVma | State::Hole => state,
            },
        }),
        Detail::Collapse { outcome, order, .. }
            if event.probe == Probe::Collapse
                && outcome == "succeed"
                && order.unwrap_or(PMD_ORDER) == PMD_ORDER =>
        {
            vec![(range.clone(), HUGE)]
        }
        Detail::Change(change) => of_change(change, ranges, pieces, vma_at),
        _ => Vec::new(),
    }
}

/// How what an operation made is known. A collapse that succeeded, and a split that left a table, leave no choice.
pub(super) fn source(event: &Event) -> Known {
    match &event.detail {
        Detail::PmdSplit { into: SplitInto::Table, freeze: false, .. }
        | Detail::Collapse { .. } => Known::Observed,
        _ => Known::Inferred,
    }
}

fn fault(probe: Probe, write: bool, range: &Range<u64>, pieces: &Pieces) -> After {
    let is_empty = || {
        pieces.touched(range).all(|(_, piece)| matches!(piece.state, State::Hole | State::NoVma))
    };
    match probe {
        Probe::ThpFault if is_empty() => {
            // A read gets the shared page of zeroes, where that is allowed (`do_huge_pmd_anonymous_page`).
            let kind = if write { LeafKind::Present } else { LeafKind::Zero };
            vec![(range.clone(), State::Leaf(LeafSize::PMD, kind))]
        }
        Probe::HugetlbFault => {
            let size = range.end - range.start;
            let size = u8::try_from(size.trailing_zeros()).ok().and_then(LeafSize::from_shift);
            let leaf = |size| (range.clone(), State::Leaf(size, LeafKind::Present));
            size.map(leaf).into_iter().collect()
        }
        Probe::MmFault => match pieces.at(range.start) {
            Some((_, piece)) if is_mapped(piece.state) => Vec::new(),
            _ => vec![(range.clone(), PRESENT)],
        },
        _ => Vec::new(),
    }
}

fn of_change(
    change: &Change,
    ranges: &[Range<u64>; 2],
    pieces: &Pieces,
    vma_at: impl Fn(u64) -> Option<Vma>,
) -> After {
    let range = &ranges[0];
    match change {
        Change::Zap { .. } | Change::Unshare { .. } | Change::PudSplit { .. } => {
            parts(pieces, range, without_leaf)
        }
        Change::Vma { change: VmaChange::Map, errno: 0, .. } => {
            vec![(range.clone(), State::Hole)]
        }
        // What was a part of the VMA before has its pieces.
        Change::Vma { change: VmaChange::Grow, errno: 0, .. } => {
            let gaps = pieces.parts(range).into_iter().filter(|(_, piece)| piece.is_none());
            gaps.map(|(gap, _)| (gap, State::Hole)).collect()
        }
        Change::Move { .. } => moved(ranges, pieces),
        // Of another swap space it stays; a reading tells.
        Change::Unuse { errno: 0, .. } => parts(pieces, range, |state| match state {
            State::Leaf(size, LeafKind::Swap) => State::Leaf(size, LeafKind::Present),
            state => state,
        }),
        Change::Migrate(folio) => folio_parts(folio, pieces, range, |state| {
            if is_mapped(state) { with_kind(state, LeafKind::Migration) } else { state }
        }),
        Change::Restore(folio) => folio_parts(folio, pieces, range, |state| match state {
            State::Leaf(size, LeafKind::Migration) => State::Leaf(size, LeafKind::Present),
            state => state,
        }),
        Change::Reclaim(folio) => {
            let is_own = vma_at(range.start).is_some_and(|vma| {
                matches!(vma.kind, VmaKind::Anonymous | VmaKind::Heap | VmaKind::Stack)
            });
            folio_parts(folio, pieces, range, |state| match state {
                state if !is_mapped(state) => state,
                state if is_own => with_kind(state, LeafKind::Swap),
                _ => State::Hole,
            })
        }
        Change::Uffd { request, errno: 0, .. } => {
            let is_base = vma_at(range.start).is_some_and(|vma| !vma.kind.is_hugetlb());
            let filled = |kind| {
                parts(pieces, range, |state| match state {
                    State::Hole => State::Leaf(LeafSize::BASE, kind),
                    state => state,
                })
            };
            match request {
                UffdRequest::Copy | UffdRequest::Continue if is_base => filled(LeafKind::Present),
                UffdRequest::Zeropage if is_base => filled(LeafKind::Zero),
                UffdRequest::Poison if is_base => filled(LeafKind::UffdPoison),
                UffdRequest::Move if is_base => moved(&[ranges[1].clone(), range.clone()], pieces),
                _ => Vec::new(),
            }
        }
        Change::Vma { change: VmaChange::Unmap, errno: 0, .. } => {
            vec![(range.clone(), State::NoVma)]
        }
        _ => Vec::new(),
    }
}

const fn without_leaf(state: State) -> State {
    match state {
        State::Leaf(..) => State::Hole,
        State::NoVma | State::Hole => state,
    }
}

/// The parts of a range that something is known of, changed.
fn parts(pieces: &Pieces, range: &Range<u64>, change: impl Fn(State) -> State) -> After {
    let known = |(part, piece): super::pieces::Part| piece.map(|piece| (part, piece.state));
    pieces
        .parts(range)
        .into_iter()
        .filter_map(known)
        .filter_map(|(part, state)| {
            let after = change(state);
            (after != state).then_some((part, after))
        })
        .collect()
}

/// A folio whose size is known, and that the kernel did not give up.
fn folio_parts(
    folio: &Folio,
    pieces: &Pieces,
    range: &Range<u64>,
    change: impl Fn(State) -> State,
) -> After {
    if folio.done && folio.end.is_some() { parts(pieces, range, change) } else { Vec::new() }
}

/// Leaves from the first range to the second.
fn moved([from, to]: &[Range<u64>; 2], pieces: &Pieces) -> After {
    let mut after = Vec::new();
    for (part, piece) in pieces.parts(from) {
        let there = part.start - from.start + to.start..part.end - from.start + to.start;
        let state = piece.map_or(State::Hole, |piece| piece.state);
        let fits = match state {
            State::Leaf(size, _) => {
                there.start.is_multiple_of(size.bytes()) && there.end.is_multiple_of(size.bytes())
            }
            State::NoVma | State::Hole => true,
        };
        let base = |state| match state {
            State::Leaf(_, kind) if !fits => State::Leaf(LeafSize::BASE, kind),
            state => state,
        };
        if there.end <= to.end {
            after.push((there, base(state)));
        }
        if matches!(state, State::Leaf(..)) {
            after.push((part, State::Hole));
        }
    }
    after
}
