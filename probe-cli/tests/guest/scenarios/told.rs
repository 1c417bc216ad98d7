//! What was seen of a scenario, as its lines have it.

use std::collections::BTreeMap;

use walkprobe::{
    maps::history,
    model::diff::State,
    track::{log::Transaction, map::Tracked},
    tui, units,
};

use crate::memory::Area;

/// Bytes by what they were before and after.
type Changes = BTreeMap<(State, State), u64>;

/// What one operation did, or several in a row that did the same.
pub(super) struct Told {
    cause: &'static str,
    by: String,
    changes: Changes,
}

/// What changed leaves of some areas after a transaction; of the causes in `also`, what did not change any too.
pub(super) fn told(
    map: &Tracked,
    before: u64,
    areas: &BTreeMap<String, Area>,
    also: &[String],
) -> Vec<Told> {
    let is_ours = |one: &&Transaction| {
        one.number > before
            && (!one.changes.is_empty()
                || also.iter().any(|name| name == history::name(&one.cause)))
            && areas.values().any(|area| one.concerns(&area.range()))
    };
    let mut told: Vec<Told> = Vec::new();
    for one in map.transactions().iter().filter(is_ours) {
        let by = history::by(&one.cause, map.pid());
        let cause = history::name(&one.cause);
        match told.last_mut() {
            Some(last)
                if last.cause == cause
                    && last.by == by
                    && last.changes.keys().eq(one.changes.keys()) =>
            {
                for (change, bytes) in &one.changes {
                    *last.changes.entry(*change).or_default() += bytes;
                }
            }
            _ => told.push(Told { cause, by, changes: one.changes.clone() }),
        }
    }
    without_moments(told, also)
}

/// A reading may fall into the middle of an operation of another thread: ksmd takes an entry away before it puts in the new one. What
/// another one of the same puts back is no change; of the causes in `also`.
fn without_moments(all: Vec<Told>, also: &[String]) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for one in all {
        let Some(last) = told.last_mut().filter(|last| {
            also.iter().any(|name| *name == one.cause)
                && last.cause == one.cause
                && last.by == one.by
        }) else {
            told.push(one);
            continue;
        };
        if last.puts_back(&one) {
            last.changes.clear();
        } else if !(last.changes.is_empty() && one.changes.is_empty()) {
            told.push(one);
        }
        // What stood on both sides of it is one now.
        if let [.., before, last] = &told[..]
            && (before.cause, &before.by) == (last.cause, &last.by)
            && before.changes.is_empty()
            && last.changes.is_empty()
        {
            told.pop();
        }
    }
    told
}

impl Told {
    /// Whether what one did is the opposite of this.
    fn puts_back(&self, one: &Self) -> bool {
        let opposite: Changes =
            one.changes.iter().map(|(&(before, after), &bytes)| ((after, before), bytes)).collect();
        !opposite.is_empty() && opposite == self.changes
    }

    /// As a line of a scenario: `zap by itself: 4K -> hole: 1M`.
    pub(super) fn line(&self) -> String {
        let changes = if self.changes.is_empty() {
            "no leaf changed".to_owned()
        } else {
            history::list(&self.changes)
        };
        format!("{} by {}: {changes}", self.cause, self.by)
    }

    /// How the row of one of its operations begins in the list of operations, behind the time.
    pub(super) fn row(&self) -> String {
        let change = self.changes.keys().next().map_or_else(
            || "no leaf changed".to_owned(),
            |(before, after)| format!("{before} -> {after}:"),
        );
        format!("{} {} {change}", self.cause, self.by)
    }
}

/// Columns and rows of a screen on which all operations of a scenario have room.
const SCREEN: (u16, u16) = (200, 1500);

/// The rows of the lists of operations that `walkprobe top` shows of the VMAs that lie in some areas, or lay there
/// when the map was `opened`: what stands behind the time, with one blank between words.
pub(super) fn rows(opened: &Tracked, map: &Tracked, areas: &BTreeMap<String, Area>) -> Vec<String> {
    let now = map.transactions().back().map_or(0, Transaction::end);
    let is_ours = |start: &u64, end: u64| {
        areas.values().any(|area| *start < area.range().end && area.range().start < end)
    };
    let mut rows = Vec::new();
    for opened in [opened, map] {
        let starts: Vec<u64> =
            opened.vmas().filter(|vma| is_ours(&vma.start, vma.end)).map(|vma| vma.start).collect();
        for start in starts {
            let lines = tui::one_vma(opened, map, start, now, SCREEN).unwrap_or_default();
            let list = lines.iter().skip_while(|line| !line.trim_start().starts_with("TIME"));
            rows.extend(list.skip(1).filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().skip(1).collect();
                (!words.is_empty()).then(|| words.join(" "))
            }));
        }
    }
    rows
}

/// The number of the last transaction.
pub(super) fn last(map: &Tracked) -> u64 {
    map.transactions().back().map_or(0, |transaction| transaction.number)
}

/// What stands in an area: `4K 2M, hole 2M`.
pub(super) fn standing(map: &Tracked, area: &Area) -> String {
    let mut runs: Vec<(State, u64)> = Vec::new();
    for (range, piece) in map.pieces(&area.range()) {
        let bytes = range.end - range.start;
        match runs.last_mut() {
            Some((state, sum)) if *state == piece.state => *sum += bytes,
            _ => runs.push((piece.state, bytes)),
        }
    }
    let text = |(state, bytes): &(State, u64)| format!("{state} {}", units::bytes(*bytes));
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}
