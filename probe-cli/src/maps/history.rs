//! Transactions and pieces of a map that lives, as text and as JSON.

use std::{collections::BTreeMap, fmt::Write as _, ops::Range};

use serde::Serialize;

use crate::{
    event::{Address, Event},
    model::diff::State,
    track::{
        log::{Cause, Transaction},
        map::Tracked,
        pieces::Piece,
    },
    units,
};

/// The name of what made a change: that of the probe, `unseen`, or `lost`.
#[must_use]
pub fn name(cause: &Cause) -> &'static str {
    match cause {
        Cause::Operation(event) => event.probe.name(),
        Cause::Unseen => "unseen",
        Cause::Lost(_) => "lost",
    }
}

/// Who did it, as seen from a process: `itself`, `khugepaged`, `gdb (4711)`; empty when nobody knows.
#[must_use]
pub fn by(cause: &Cause, pid: u32) -> String {
    match cause {
        Cause::Operation(event) => actor(event, pid),
        Cause::Unseen | Cause::Lost(_) => String::new(),
    }
}

fn actor(event: &Event, pid: u32) -> String {
    let by = &event.by;
    if by.kernel {
        by.comm.clone()
    } else if by.pid == pid {
        "itself".to_owned()
    } else {
        format!("{} ({})", by.comm, by.pid)
    }
}

/// What changed: `2M -> 4K: 4M, 4K -> hole: 8K`; `no leaf changed` when nothing did.
#[must_use]
pub fn changes(transaction: &Transaction) -> String {
    if transaction.changes.is_empty() {
        let text = if transaction.settled.is_some() { "no leaf changed" } else { "not read yet" };
        return text.to_owned();
    }
    list(&transaction.changes)
}

/// Bytes by what they were before and after: `2M -> 4K: 4M, 4K -> hole: 8K`.
#[must_use]
pub fn list(changes: &BTreeMap<(State, State), u64>) -> String {
    let one = |(&(before, after), &bytes): (&(State, State), &u64)| {
        format!("{}: {}", change(before, after), units::bytes(bytes))
    };
    changes.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What something was and became: `2M -> 4K`.
#[must_use]
pub fn change(before: State, after: State) -> String {
    format!("{before} -> {after}")
}

/// Where, how it went, and what the operation itself tells.
#[must_use]
pub fn detail(cause: &Cause) -> String {
    match cause {
        Cause::Operation(event) => event.detail.to_string(),
        Cause::Unseen => "found by reading; no event told of it".to_owned(),
        Cause::Lost(number) => format!("{number} events, of whatever process"),
    }
}

/// One line about a transaction, with its time since `start`.
#[must_use]
pub fn line(transaction: &Transaction, pid: u32, start: u64) -> String {
    let cause = &transaction.cause;
    let mut line = format!("{:>10} ", units::seconds_since(start, transaction.time));
    let _ = write!(line, "{:<16} ", name(cause));
    let by = by(cause, pid);
    if !by.is_empty() {
        let _ = write!(line, "by {by}: ");
    }
    let _ = write!(line, "{}; {}", changes(transaction), detail(cause));
    if let Cause::Operation(event) = cause
        && let Some(duration) = event.duration
    {
        let _ = write!(line, "; took {}", units::duration(duration));
    }
    line
}

/// Who called, from the kernel into the program; absent where no stack was taken.
#[must_use]
pub fn callers(cause: &Cause) -> Option<String> {
    match cause {
        Cause::Operation(event) => event.stacks.as_ref().map(ToString::to_string),
        Cause::Unseen | Cause::Lost(_) => None,
    }
}

/// What stands at an address, since when, and what it was before.
#[must_use]
pub fn standing(map: &Tracked, piece: &Piece, now: u64) -> String {
    let ago = units::duration(now.saturating_sub(piece.since));
    let mut text = format!("{} ({})", piece.state, piece.source.name());
    if piece.by == 0 {
        let _ = write!(text, ", as it was at the beginning, {ago} ago");
        return text;
    }
    let _ = write!(text, " since {ago} ago, before that {}", piece.was);
    match map.transaction(piece.by) {
        Some(transaction) => {
            let by = by(&transaction.cause, map.pid());
            let by = if by.is_empty() { by } else { format!(" by {by}") };
            let _ = write!(text, ": {}{by}", name(&transaction.cause));
        }
        None => text.push_str(": by an operation too many ago"),
    }
    text
}

/// What stands in a range, as it is written.
#[derive(Serialize)]
pub struct PieceOut {
    kind: &'static str,
    range: [Address; 2],
    state: String,
    source: &'static str,
    was: String,
    /// The number of the transaction that made it so; absent when it was so from the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<u64>,
    since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
}

/// What stands in a range, for JSON.
#[must_use]
pub fn piece(map: &Tracked, range: &Range<u64>, piece: &Piece) -> PieceOut {
    PieceOut {
        kind: "standing",
        range: [Address(range.start), Address(range.end)],
        state: piece.state.to_string(),
        source: piece.source.name(),
        was: piece.was.to_string(),
        by: (piece.by != 0).then_some(piece.by),
        since: piece.since,
        cause: map.transaction(piece.by).map(|transaction| name(&transaction.cause)),
    }
}

/// A transaction as it is written.
#[derive(Serialize)]
pub struct Document<'a> {
    kind: &'static str,
    number: u64,
    /// ns of `CLOCK_MONOTONIC`.
    time: u64,
    cause: &'static str,
    by: String,
    ranges: Vec<[Address; 2]>,
    changes: Vec<ChangeOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

#[derive(Serialize)]
struct ChangeOut {
    before: String,
    after: String,
    bytes: u64,
}

/// A transaction for JSON.
#[must_use]
pub fn document(transaction: &Transaction, pid: u32) -> Document<'_> {
    let ranges = transaction.ranges.iter().filter(|range| !range.is_empty());
    let changes = transaction.changes.iter().map(|((before, after), bytes)| ChangeOut {
        before: before.to_string(),
        after: after.to_string(),
        bytes: *bytes,
    });
    Document {
        kind: "transaction",
        number: transaction.number,
        time: transaction.time,
        cause: name(&transaction.cause),
        by: by(&transaction.cause, pid),
        ranges: ranges.map(|range| [Address(range.start), Address(range.end)]).collect(),
        changes: changes.collect(),
        settled: transaction.settled,
        event: match &transaction.cause {
            Cause::Operation(event) => Some(event),
            Cause::Unseen | Cause::Lost(_) => None,
        },
        lost: match transaction.cause {
            Cause::Lost(number) => Some(number),
            Cause::Operation(_) | Cause::Unseen => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{document, line, standing};
    use crate::track::fixture;

    #[test]
    fn a_split_tells_who_and_what() {
        let mut map = fixture::huge(0, 4 << 20, 1);
        map.event(fixture::split(1_000_000_000, 0));
        let transaction = map.transaction(1).unwrap();
        assert_eq!(
            line(transaction, fixture::PID, 0),
            "     1.000 pmd_split        by itself: 2M -> 4K: 2M; 0x0 into PTEs; took 10ns"
        );
        let (_, piece) = map.pieces(&(0..4096))[0].clone();
        assert_eq!(
            standing(&map, &piece, 3_000_000_010),
            "4K (observed) since 2.00s ago, before that 2M: pmd_split by itself"
        );
        let (_, hole) = map.pieces(&(2 << 20..4 << 20))[0].clone();
        assert_eq!(
            standing(&map, &hole, 3_000_000_000),
            "hole (scanned), as it was at the beginning, 3.00s ago"
        );
        let json = serde_json::to_value(document(transaction, 1)).unwrap();
        assert_eq!(json["by"], "app (7)");
        assert_eq!(json["changes"][0]["bytes"], 2 << 20);
    }
}
