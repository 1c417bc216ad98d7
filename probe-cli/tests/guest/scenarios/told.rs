//! What was seen of a scenario, as its lines have it.

use std::collections::BTreeMap;

use walkprobe::{
    maps::history,
    model::diff::State,
    track::{log::Transaction, map::Tracked},
    units,
};

use crate::memory::Area;

/// Bytes by what they were before and after.
type Changes = BTreeMap<(State, State), u64>;

/// What changed leaves of some areas after a transaction; those in a row that did the same stand together.
pub(super) fn told(map: &Tracked, before: u64, areas: &BTreeMap<String, Area>) -> Vec<String> {
    let is_ours = |one: &&Transaction| {
        one.number > before
            && !one.changes.is_empty()
            && areas.values().any(|area| one.concerns(&area.range()))
    };
    let mut told: Vec<(String, Changes)> = Vec::new();
    for one in map.transactions().iter().filter(is_ours) {
        let by = history::by(&one.cause, map.pid());
        let who = format!("{} by {by}", history::name(&one.cause));
        match told.last_mut() {
            Some((last, changes)) if *last == who && changes.keys().eq(one.changes.keys()) => {
                for (change, bytes) in &one.changes {
                    *changes.entry(*change).or_default() += bytes;
                }
            }
            _ => told.push((who, one.changes.clone())),
        }
    }
    let text = |(who, changes): (String, Changes)| {
        let changes: Vec<String> = changes
            .iter()
            .map(|((before, after), n)| format!("{before} -> {after}: {}", units::bytes(*n)))
            .collect();
        format!("{who}: {}", changes.join(", "))
    };
    told.into_iter().map(text).collect()
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
