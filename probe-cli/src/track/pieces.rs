//! What stands where, since when, by what, and how that is known.

use std::ops::Range;

use rangemap::RangeMap;
use serde::Serialize;

use crate::model::{
    diff::State,
    leaf::{LeafKind, LeafSize},
};

/// What is known of some neighbouring addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What stands there.
    pub state: State,
    /// How that is known.
    pub source: Known,
    /// What stood there before the last change.
    pub was: State,
    /// The number of the transaction that changed it last; 0 when it has been so from the beginning.
    pub by: u64,
    /// When that was, or when it was first read, in ns of `CLOCK_MONOTONIC`.
    pub since: u64,
}

/// How something is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Read from the page tables, or from what else can be read here.
    Scanned,
    /// Told by an operation that leaves no choice.
    Observed,
    /// What an operation of this kind usually does; it is read at the next tick.
    Inferred,
    /// An operation may have changed it; it is read at the next tick.
    Stale,
}

impl Known {
    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scanned => "scanned",
            Self::Observed => "observed",
            Self::Inferred => "inferred",
            Self::Stale => "stale",
        }
    }
}

/// The pieces of an address space. Where there is none, no VMA is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces(RangeMap<u64, Piece>);

/// A part of a range: what is known there, if anything.
pub(super) type Part = (Range<u64>, Option<Piece>);

impl Pieces {
    /// The piece at an address.
    pub(super) fn at(&self, address: u64) -> Option<(Range<u64>, Piece)> {
        self.0.get_key_value(&address).map(|(range, piece)| (range.clone(), *piece))
    }

    /// The pieces that a range touches, in order, each as long as it is.
    pub(super) fn touched(
        &self,
        range: &Range<u64>,
    ) -> impl Iterator<Item = (&Range<u64>, &Piece)> {
        let range = if range.is_empty() { 0..0 } else { range.clone() };
        (!range.is_empty()).then(|| self.0.overlapping(range)).into_iter().flatten()
    }

    /// The parts of a range, gaps included, in order.
    pub(super) fn parts(&self, range: &Range<u64>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut at = range.start;
        for (whole, piece) in self.touched(range) {
            let part = whole.start.max(range.start)..whole.end.min(range.end);
            if at < part.start {
                parts.push((at..part.start, None));
            }
            at = part.end;
            parts.push((part, Some(*piece)));
        }
        if at < range.end {
            parts.push((at..range.end, None));
        }
        parts
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many of them a range touches.
    pub(super) fn count(&self, range: &Range<u64>) -> usize {
        self.touched(range).count()
    }

    /// Puts a piece in the place of what was there.
    pub(super) fn put(&mut self, range: Range<u64>, piece: Piece) {
        if !range.is_empty() {
            self.0.insert(range, piece);
        }
    }

    /// Takes pieces away.
    pub(super) fn remove(&mut self, range: Range<u64>) {
        if !range.is_empty() {
            self.0.remove(range);
        }
    }

    /// Takes all of them away.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Range<u64>, &Piece)> {
        self.0.iter()
    }

    /// Lets a border be here: a huge leaf around it becomes base pages, as the kernel splits a leaf before a part of
    /// it changes.
    pub(super) fn cut(&mut self, address: u64) {
        let Some((range, piece)) = self.at(address) else { return };
        let State::Leaf(size, kind) = piece.state else { return };
        let start = address & !(size.bytes() - 1);
        if start == address {
            return;
        }
        let leaf = start.max(range.start)..(start + size.bytes()).min(range.end);
        let state = State::Leaf(LeafSize::BASE, kind);
        self.put(leaf, Piece { state, source: Known::Inferred, ..piece });
    }

    /// Makes leaves whole again where pieces of different history meet inside of one: the newest, and of those the
    /// longest, stands for the leaf.
    pub(super) fn mend(&mut self, range: &Range<u64>, size: LeafSize) {
        let mut next = range.start;
        loop {
            let border = self
                .touched(&(next..range.end))
                .map(|(piece, _)| piece.end)
                .find(|&end| end < range.end && !end.is_multiple_of(size.bytes()));
            let Some(border) = border else { break };
            let start = border & !(size.bytes() - 1);
            let leaf = start..start + size.bytes();
            let newest = self
                .parts(&leaf)
                .into_iter()
                .filter_map(|(part, piece)| {
                    piece.map(|piece| (piece.since, part.end - part.start, piece))
                })
                .max_by_key(|&(since, length, _)| (since, length));
            if let Some((_, _, piece)) = newest {
                self.put(leaf.clone(), piece);
            }
            next = leaf.end;
        }
    }

    /// Makes pieces stale that were known.
    pub(super) fn stale(&mut self, range: &Range<u64>) {
        let mut at = range.start;
        // One after another, because mostly there is but one.
        loop {
            let first = self
                .touched(&(at..range.end))
                .find(|(_, piece)| matches!(piece.source, Known::Scanned | Known::Observed))
                .map(|(whole, piece)| (whole.start.max(at)..whole.end.min(range.end), *piece));
            let Some((part, piece)) = first else { break };
            at = part.end;
            self.put(part, Piece { source: Known::Stale, ..piece });
        }
    }
}

/// Whether memory is mapped by this.
pub(super) const fn is_mapped(state: State) -> bool {
    matches!(state, State::Leaf(_, kind) if kind.is_mapped())
}

/// The leaf in its place that maps the same, or holds the same, by another size or of another kind.
pub(super) const fn with_kind(state: State, kind: LeafKind) -> State {
    match state {
        State::Leaf(size, _) => State::Leaf(size, kind),
        State::NoVma | State::Hole => state,
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Piece, Pieces};
    use crate::model::{
        diff::State,
        leaf::{LeafKind, LeafSize},
    };

    const M: u64 = 1 << 20;

    fn huge() -> Piece {
        let state = State::Leaf(LeafSize::PMD, LeafKind::Present);
        Piece { state, source: Known::Scanned, was: State::Hole, by: 3, since: 9 }
    }

    #[test]
    fn parts_have_gaps() {
        let mut pieces = Pieces::default();
        pieces.put(2 * M..4 * M, huge());
        let parts = pieces.parts(&(0..3 * M));
        assert_eq!(parts, [(0..2 * M, None), (2 * M..3 * M, Some(huge()))]);
        assert!(pieces.parts(&(5..5)).is_empty());
    }

    #[test]
    fn only_the_leaf_that_is_cut_becomes_base_pages() {
        let mut pieces = Pieces::default();
        pieces.put(0..8 * M, huge());
        pieces.cut(2 * M);
        assert_eq!(pieces.iter().count(), 1);
        pieces.cut(3 * M);
        let sizes: Vec<_> = pieces.iter().map(|(range, p)| (range.clone(), p.state)).collect();
        let base = State::Leaf(LeafSize::BASE, LeafKind::Present);
        assert_eq!(sizes[1], (2 * M..4 * M, base));
        assert_eq!(sizes.len(), 3);
    }
}
