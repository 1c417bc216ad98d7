//! What is different between two translation sets.

use std::{collections::BTreeMap, fmt, ops::Range, ptr};

use super::{
    leaf::{LeafKind, LeafSize},
    set::TranslationSet,
    vma::Vma,
    walk::{Batch, LeafWalk},
};

/// What stands at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No VMA.
    NoVma,
    /// A VMA, and nothing else.
    Hole,
    /// A leaf.
    Leaf(LeafSize, LeafKind),
}

/// Neighbouring addresses of one VMA where the same changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The addresses.
    pub range: Range<u64>,
    /// What stood there.
    pub before: State,
    /// What stands there now: always another state.
    pub after: State,
    /// The VMA now; where there is none, the VMA before.
    pub vma: &'a Vma,
}

/// The differences between two sets, by address.
///
/// Folio orders, marks, names and permissions do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff<'a> {
    /// Where the size, the kind or the presence of leaves changed.
    pub changes: Vec<Change<'a>>,
    /// VMAs at addresses where there was no VMA at all before.
    pub appeared: Vec<&'a Vma>,
    /// VMAs at addresses where there is no VMA at all any more.
    pub disappeared: Vec<&'a Vma>,
    /// Bytes by kind of change: before, after.
    pub totals: BTreeMap<(State, State), u64>,
}

/// Compares two sets: what changed from `before` to `after`. In O(runs of both).
#[must_use]
pub fn diff<'a>(before: &'a TranslationSet, after: &'a TranslationSet) -> Diff<'a> {
    let alone = |set: &'a TranslationSet, other: &TranslationSet| {
        set.vmas().filter(|vma| other.walk(vma.range()).next().is_none()).collect()
    };
    let mut diff = Diff {
        appeared: alone(after, before),
        disappeared: alone(before, after),
        ..Diff::default()
    };
    let mut old = Cursor::new(before.walk(0..u64::MAX));
    let mut new = Cursor::new(after.walk(0..u64::MAX));
    let mut at = 0;
    loop {
        let ((was, was_in, was_until), (is, is_in, is_until)) = (old.at(at), new.at(at));
        let end = was_until.min(is_until);
        if let Some(vma) = is_in.or(was_in)
            && was != is
        {
            diff.record(Change { range: at..end, before: was, after: is, vma });
        }
        if end == u64::MAX {
            return diff;
        }
        at = end;
    }
}

impl<'a> Diff<'a> {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn record(&mut self, change: Change<'a>) {
        let bytes = change.range.end - change.range.start;
        *self.totals.entry((change.before, change.after)).or_default() += bytes;
        match self.changes.last_mut() {
            Some(last)
                if last.range.end == change.range.start
                    && (last.before, last.after) == (change.before, change.after)
                    && ptr::eq(last.vma, change.vma) =>
            {
                last.range.end = change.range.end;
            }
            _ => self.changes.push(change),
        }
    }
}

/// One side of the comparison, which only goes upwards.
struct Cursor<'a> {
    walk: LeafWalk<'a>,
    batch: Option<Batch<'a>>,
}

impl<'a> Cursor<'a> {
    fn new(mut walk: LeafWalk<'a>) -> Self {
        let batch = walk.next();
        Self { walk, batch }
    }

    /// What stands at an address, in which VMA, and up to where.
    fn at(&mut self, address: u64) -> (State, Option<&'a Vma>, u64) {
        while self.batch.is_some_and(|batch| batch.run.end() <= address) {
            self.batch = self.walk.next();
        }
        match self.batch {
            None => (State::NoVma, None, u64::MAX),
            Some(Batch { run, .. }) if run.start > address => (State::NoVma, None, run.start),
            Some(Batch { vma, run }) => {
                let state = match run.kind {
                    LeafKind::Hole => State::Hole,
                    kind => State::Leaf(run.size, kind),
                };
                (state, Some(vma), run.end())
            }
        }
    }
}

impl fmt::Display for State {
    /// `2M`, `4K swap`, `hole`, `no VMA`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVma => f.write_str("no VMA"),
            Self::Hole => f.write_str("hole"),
            Self::Leaf(size, LeafKind::Present) => size.fmt(f),
            Self::Leaf(size, kind) => write!(f, "{size} {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{State, diff};
    use crate::model::{
        fixture::{self, run, set_of, vma},
        leaf::{LeafKind, LeafSize},
        set::TranslationSet,
    };

    const M: u64 = 1 << 20;

    fn totals(before: &TranslationSet, after: &TranslationSet) -> Vec<String> {
        let bytes = crate::units::bytes;
        let totals = diff(before, after).totals;
        totals.iter().map(|((old, new), n)| format!("{old} -> {new}: {}", bytes(*n))).collect()
    }

    #[test]
    fn a_split_a_fault_and_a_swapped_page() {
        let huge = run(0, LeafSize::PMD, 4, LeafKind::Present);
        let before = set_of([(vma(0..10 * M), vec![huge])]);
        let after = [
            run(0, LeafSize::PMD, 1, LeafKind::Present),
            run(2 * M, LeafSize::BASE, 1536, LeafKind::Present),
            run(8 * M, LeafSize::BASE, 2, LeafKind::Present),
            run(9 * M, LeafSize::BASE, 1, LeafKind::Swap),
        ];
        let after = set_of([(vma(0..10 * M), after.to_vec())]);
        assert_eq!(
            totals(&before, &after),
            ["hole -> 4K: 8K", "hole -> 4K swap: 4K", "2M -> 4K: 6M"]
        );
        assert_eq!(diff(&before, &after).changes[0].range, 2 * M..8 * M);
    }

    #[test]
    fn vmas_come_go_and_grow() {
        let before = set_of([(vma(0..2 * M), vec![]), (vma(4 * M..6 * M), vec![])]);
        let after = set_of([(vma(0..3 * M), vec![]), (vma(8 * M..9 * M), vec![])]);
        let diff = diff(&before, &after);
        assert_eq!(diff.appeared, [after.maps()[1].vma()]);
        assert_eq!(diff.disappeared, [before.maps()[1].vma()]);
        assert_eq!(diff.changes.len(), 3);
        assert_eq!(diff.totals[&(State::NoVma, State::Hole)], 2 * M);
    }

    proptest! {
        #[test]
        fn there_and_back(before in fixture::any_set(), after in fixture::any_set()) {
            prop_assert!(diff(&before, &before).is_empty());
            let (there, back) = (diff(&before, &after), diff(&after, &before));
            prop_assert_eq!(there.totals.len(), back.totals.len());
            for ((old, new), bytes) in &there.totals {
                prop_assert!(old != new);
                prop_assert_eq!(back.totals.get(&(*new, *old)), Some(bytes));
            }
            for change in &there.changes {
                let middle = change.range.start..change.range.start + 1;
                let now = after.walk(middle).next().map(|batch| (batch.run.size, batch.run.kind));
                let expected = match change.after {
                    State::NoVma => None,
                    State::Hole => Some((LeafSize::BASE, LeafKind::Hole)),
                    State::Leaf(size, kind) => Some((size, kind)),
                };
                prop_assert_eq!(now, expected);
            }
        }
    }
}
