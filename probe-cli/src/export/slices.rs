//! Operations in the order in which they began, each inside of those of its thread that were under way.
//!
//! A trace has them in the order in which they ended. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use crate::event::Event;

/// Operations that wait for others that began before them. One that took longer than so many others comes late.
const WINDOW: usize = 1 << 16;

/// What they may weigh together, in units of 100 bytes.
const WEIGHT: usize = 1 << 20;

/// Operations of one thread that can be inside of each other, and threads that are remembered.
const DEEPEST: usize = 64;
const THREADS: usize = 1 << 16;

/// A thread: process and thread.
pub(super) type Thread = (u32, u32);

/// What is to be drawn next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// An operation begins, and ends at this time; absent for a tracepoint, which has no duration.
    Begin(Box<Event>, Option<u64>),
    /// The innermost operation of a thread that is under way ends at this time.
    End(Thread, u64),
}

/// Puts operations in order.
#[derive(Debug, Default)]
pub(super) struct Slices {
    /// By beginning; the outer before the inner: it ends later, and came later.
    waiting: BTreeMap<(u64, Reverse<u64>, Reverse<u64>), Box<Event>>,
    open: HashMap<Thread, Vec<u64>>,
    number: u64,
    weight: usize,
    cut: u64,
}

impl Slices {
    /// Takes in an operation.
    pub(super) fn push(&mut self, event: Box<Event>) {
        self.number += 1;
        self.weight += event.weight();
        self.waiting.insert((event.time, Reverse(event.end()), Reverse(self.number)), event);
    }

    /// What is due, when more wait than there is room for.
    pub(super) fn due(&mut self) -> Vec<Edge> {
        let is_full = self.waiting.len() > WINDOW || self.weight > WEIGHT;
        if is_full { self.next() } else { Vec::new() }
    }

    /// All that is left, step by step; nothing at the end.
    pub(super) fn rest(&mut self) -> Vec<Edge> {
        let next = self.next();
        if !next.is_empty() {
            return next;
        }
        let mut ends: Vec<_> = self
            .open
            .drain()
            .flat_map(|(thread, ends)| {
                ends.into_iter().rev().map(move |end| Edge::End(thread, end))
            })
            .collect();
        // The order of a hash map is another one each time. The sort keeps the order within a thread.
        ends.sort_by_key(|edge| match edge {
            Edge::Begin(..) => None,
            Edge::End(thread, _) => Some(*thread),
        });
        ends
    }

    /// Operations that were shortened, because they overlap another one of their thread without being inside of it.
    pub(super) const fn cut(&self) -> u64 {
        self.cut
    }

    /// The first that waits, after the ends of what was over by then.
    fn next(&mut self) -> Vec<Edge> {
        let Some(((begin, Reverse(end), _), event)) = self.waiting.pop_first() else {
            return Vec::new();
        };
        self.weight -= event.weight();
        if event.duration.is_none() {
            return vec![Edge::Begin(event, None)];
        }
        let thread = (event.by.pid, event.by.tid);
        let mut edges = Vec::new();
        if self.open.len() == THREADS && !self.open.contains_key(&thread) {
            for (thread, ends) in self.open.drain() {
                edges.extend(ends.into_iter().rev().map(|end| Edge::End(thread, end)));
            }
        }
        let open = self.open.entry(thread).or_default();
        while let Some(&over) = open.last().filter(|&&over| over <= begin) {
            edges.push(Edge::End(thread, over));
            open.pop();
        }
        let most = if open.len() == DEEPEST { begin } else { u64::MAX };
        let limit = open.last().copied().unwrap_or(u64::MAX).min(most);
        self.cut += u64::from(end > limit);
        let end = end.min(limit);
        edges.push(Edge::Begin(event, Some(end)));
        if open.len() < DEEPEST {
            open.push(end);
        } else {
            edges.push(Edge::End(thread, end));
        }
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, Edge, Slices};
    use crate::{
        event::Event,
        track::fixture::{PID, split},
    };

    fn lasting(time: u64, duration: u64) -> Box<Event> {
        Box::new(Event { duration: Some(duration), ..split(time, 0) })
    }

    /// Beginnings and ends, as signed numbers.
    fn drawn(mut slices: Slices) -> (Vec<i64>, u64) {
        let mut all = Vec::new();
        loop {
            let edges = slices.rest();
            if edges.is_empty() {
                return (all, slices.cut());
            }
            all.extend(edges.into_iter().map(|edge| match edge {
                Edge::Begin(event, _) => event.time.cast_signed(),
                Edge::End(thread, time) => {
                    assert_eq!(thread, (PID, PID));
                    -time.cast_signed()
                }
            }));
        }
    }

    fn of(parts: &[(u64, u64)]) -> (Vec<i64>, u64) {
        let mut slices = Slices::default();
        for &(time, duration) in parts {
            slices.push(lasting(time, duration));
        }
        drawn(slices)
    }

    #[test]
    fn the_outer_begins_before_the_inner() {
        // As they end: two inner ones, the outer, and another one. The first began with the outer one.
        let (edges, cut) = of(&[(10, 5), (20, 5), (10, 30), (40, 2)]);
        assert_eq!(edges, [10, 10, -15, 20, -25, -40, 40, -42]);
        assert_eq!(cut, 0);
    }

    #[test]
    fn of_equals_the_later_is_the_outer() {
        let mut slices = Slices::default();
        for address in [1, 2] {
            slices.push(Box::new(split(5, address)));
        }
        let begun: Vec<_> = std::iter::from_fn(|| Some(slices.rest()).filter(|e| !e.is_empty()))
            .flatten()
            .filter_map(|edge| match edge {
                Edge::Begin(event, _) => event.detail.start(),
                Edge::End(..) => None,
            })
            .collect();
        assert_eq!(begun.iter().map(|address| address.0).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn what_overlaps_is_shortened_and_counted() {
        let (edges, cut) = of(&[(10, 10), (15, 10)]);
        assert_eq!((edges, cut), (vec![10, 15, -20, -20], 1));
        let deep: Vec<_> = (0..2 * DEEPEST as u64).map(|time| (time, u64::MAX)).collect();
        let (edges, cut) = of(&deep);
        assert_eq!((edges.len(), cut), (4 * DEEPEST, DEEPEST as u64));
    }

    #[test]
    fn a_tracepoint_is_a_moment() {
        let mut slices = Slices::default();
        slices.push(Box::new(Event { duration: None, ..split(5, 0) }));
        assert!(slices.due().is_empty());
        assert!(matches!(&slices.rest()[..], [Edge::Begin(_, None)]));
        assert!(slices.rest().is_empty());
    }
}
