//! Operations by the VMA that they begin in.

use std::{collections::BTreeMap, ops::Range};

use serde::Serialize;

use crate::{
    event::{Address, Event},
    track::{log::Transaction, map::Tracked},
};

/// VMAs that are told apart: a trace of many short-lived ones must not take memory without end.
const MOST: usize = 1 << 16;

/// What their names may take together, in bytes.
const NAMES: usize = 64 << 20;

/// What happened in one VMA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceTotal {
    /// The process.
    pub pid: u32,
    /// First address, when it was seen last.
    pub start: Address,
    /// One past the last address, when it was seen last.
    pub end: Address,
    /// What it is: a file's name, the kernel's name in brackets, `anon`.
    pub name: String,
    /// Events that begin in it.
    pub events: u64,
    /// Bytes that operations changed that begin in it.
    pub changed: u64,
}

/// Sums by VMA.
#[derive(Debug, Default)]
pub(super) struct Places {
    vmas: BTreeMap<(u32, u64), PlaceTotal>,
    names: usize,
    elsewhere: u64,
}

impl Places {
    pub(super) fn event(&mut self, event: &Event, maps: &BTreeMap<u32, Tracked>) {
        let map = event.pid.and_then(|pid| maps.get(&pid));
        let named = map.zip(event.detail.start());
        let place = named.and_then(|(map, address)| self.at(map, address.0));
        match place {
            Some(place) => place.events += 1,
            None => self.elsewhere += 1,
        }
    }

    pub(super) fn transaction(&mut self, transaction: &Transaction, map: &Tracked) {
        let changed = transaction.changes.values().fold(0_u64, |sum, &n| sum.saturating_add(n));
        let first = transaction.ranges.iter().find(|range| !Range::is_empty(range));
        if let Some(place) = first.and_then(|range| self.at(map, range.start)) {
            place.changed = place.changed.saturating_add(changed);
        }
    }

    /// The VMA at an address, while there is room for it.
    fn at(&mut self, map: &Tracked, address: u64) -> Option<&mut PlaceTotal> {
        let vma = map.vma_at(address)?;
        let key = (map.pid(), vma.start);
        if !self.vmas.contains_key(&key) {
            if self.vmas.len() >= MOST || self.names > NAMES {
                return None;
            }
            self.names += vma.name.len();
        }
        let place = self.vmas.entry(key).or_insert_with(|| PlaceTotal {
            pid: map.pid(),
            start: Address(vma.start),
            end: Address(vma.end),
            name: vma.label(),
            events: 0,
            changed: 0,
        });
        place.end = Address(vma.end);
        Some(place)
    }

    pub(super) const fn elsewhere(&self) -> u64 {
        self.elsewhere
    }

    /// Those with the most events first.
    pub(super) fn finish(self) -> Vec<PlaceTotal> {
        let mut all: Vec<_> = self.vmas.into_values().collect();
        all.retain(|one| one.events > 0 || one.changed > 0);
        all.sort_by_key(|one| std::cmp::Reverse((one.events, one.changed)));
        all
    }
}
