//! The map of one address space, kept up to date by events and readings.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use probe_common::probe::Probe;
use rangemap::RangeSet;

use super::{
    blame::Pending,
    infer::infer,
    log::{Cause, Log, Transaction},
    pieces::{Known, Piece, Pieces},
    reach::{Reach, blocks},
    unseen::Recent,
};
use crate::{
    change::Change,
    event::{Detail, Event, FaultOutcome},
    model::{
        diff::State,
        leaf::{LeafSize, Run},
        map::LeafMap,
        set::{Origin, Source, TranslationSet},
        vma::Vma,
    },
};

/// A map that follows an address space.
///
/// An event changes it at once, by what such an operation usually does; what has been marked is stale, or
/// inferred, until the next reading, which has the last word. Each change stays with the operation that made it.
#[derive(Clone, Debug)]
pub struct Tracked {
    pub(super) pid: u32,
    pub(super) comm: String,
    pub(super) source: Source,
    pub(super) vmas: BTreeMap<u64, Vma>,
    pub(super) pieces: Pieces,
    pub(super) pending: Pending,
    pub(super) log: Log,
    pub(super) unseen: Recent,
    /// When the reading began that this program was seen first in.
    pub(super) begun: u64,
    /// When the last reading began, and where it read.
    pub(super) last: (u64, RangeSet<u64>),
    pub(super) readings: u64,
    pub(super) has_ended: bool,
}

/// How many transactions back the parts of a fault are looked for.
const NEAR: usize = 16;

pub(super) const NOWHERE: [Range<u64>; 2] = [0..0, 0..0];

impl Tracked {
    /// Of a process that nothing is known about yet.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            comm: String::new(),
            source: Source::default(),
            vmas: BTreeMap::new(),
            pieces: Pieces::default(),
            pending: Pending::default(),
            log: Log::default(),
            unseen: Recent::default(),
            begun: 0,
            last: (0, RangeSet::new()),
            readings: 0,
            has_ended: false,
        }
    }

    /// The process.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name, escaped.
    #[must_use]
    pub fn comm(&self) -> &str {
        &self.comm
    }

    /// How it was read last.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// How often it was read.
    #[must_use]
    pub const fn readings(&self) -> u64 {
        self.readings
    }

    /// Whether its address space is gone.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Its VMAs, by address.
    #[must_use]
    pub fn vmas(&self) -> impl DoubleEndedIterator<Item = &Vma> + ExactSizeIterator {
        self.vmas.values()
    }

    /// The VMA at an address.
    #[must_use]
    pub fn vma_at(&self, address: u64) -> Option<&Vma> {
        let (_, vma) = self.vmas.range(..=address).next_back()?;
        (address < vma.end).then_some(vma)
    }

    /// What is known of a range, in order: each piece cut to the range. Where there is none, no VMA is known.
    #[must_use]
    pub fn pieces(&self, range: &Range<u64>) -> Vec<(Range<u64>, Piece)> {
        let parts = self.pieces.parts(range).into_iter();
        parts.filter_map(|(part, piece)| piece.map(|piece| (part, piece))).collect()
    }

    /// The numbers of the transactions that made what stands in a range, in order.
    #[must_use]
    pub fn makers(&self, range: &Range<u64>) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.pieces(range).iter().map(|(_, piece)| piece.by).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The last transactions, the oldest first.
    #[must_use]
    pub fn transactions(&self) -> &VecDeque<Transaction> {
        self.log.kept()
    }

    /// A transaction by its number, when it is one of the last.
    #[must_use]
    pub fn transaction(&self, number: u64) -> Option<&Transaction> {
        self.log.get(number)
    }

    /// The map as it is known now.
    #[must_use]
    pub fn snapshot(&self) -> TranslationSet {
        let maps = self.vmas.values().filter_map(|vma| {
            let runs = self.pieces.parts(&vma.range()).into_iter().filter_map(run);
            // Of damaged readings; an impossible VMA is not shown.
            LeafMap::from_runs(vma.clone(), runs)
                .or_else(|_| LeafMap::from_runs(vma.clone(), []))
                .ok()
        });
        let origin = Origin {
            pid: self.pid,
            comm: self.comm.clone(),
            source: self.source,
            precision: "kept up to date by events".to_owned(),
            ..Origin::default()
        };
        TranslationSet::new(origin, maps.collect()).unwrap_or_default()
    }

    /// Takes in an operation on this address space.
    pub fn event(&mut self, event: &Event) {
        let reach = Reach::of(event);
        let ranges = match &reach {
            Reach::Nothing => return,
            Reach::Leaves { ranges, .. } => ranges.clone(),
            Reach::Vmas(range) => [range.clone(), 0..0],
            Reach::Files | Reach::Everything | Reach::End => NOWHERE,
        };
        if self.is_told_by_its_part(event, &ranges[0]) {
            return;
        }
        let number =
            self.log.push(event.time, Cause::Operation(Box::new(event.clone())), ranges.clone());
        match reach {
            Reach::Nothing | Reach::Vmas(_) => {}
            Reach::Files => {
                let files: Vec<_> = self.vmas.values().filter(|vma| vma.kind.is_file()).collect();
                for range in files.into_iter().map(Vma::range) {
                    self.pieces.stale(&range);
                    self.pending.add(number, &range, event.end());
                }
            }
            Reach::Leaves { .. } => self.leaves(event, &ranges, number),
            Reach::Everything if matches!(event.detail, Detail::Change(Change::Exec { .. })) => {
                // The end of the address space before was a part of it.
                self.has_ended = false;
                if event.end() >= self.begun {
                    self.all_gone(number);
                }
            }
            Reach::Everything => self.doubt(number, event.end()),
            // The end of the address space before, as an exec has it.
            Reach::End if event.end() < self.begun => {}
            Reach::End => {
                self.all_gone(number);
                self.has_ended = true;
            }
        }
    }

    /// Takes in that events were lost, of whatever process.
    pub fn lost(&mut self, time: u64, number: u64) {
        let number = self.log.push(time, Cause::Lost(number), NOWHERE);
        self.doubt(number, time);
    }

    /// Takes in that the process has ended, where no event told it.
    pub fn gone(&mut self, time: u64) {
        if !self.has_ended {
            let number = self.log.push(time, Cause::Unseen, NOWHERE);
            self.all_gone(number);
            self.has_ended = true;
        }
    }

    fn leaves(&mut self, event: &Event, ranges: &[Range<u64>; 2], number: u64) {
        for range in ranges {
            self.claim(event, range, number);
        }
        let is_read = event.end() < self.last.0
            && ranges
                .iter()
                .all(|range| range.is_empty() || self.last.1.gaps(range).next().is_none());
        if !is_read {
            let after = infer(event, ranges, &self.pieces, |address| self.vma_at(address).cloned());
            // What is inferred everywhere is stale nowhere.
            let is_inferred =
                matches!(&after[..], [(all, _)] if *all == ranges[0] && ranges[1].is_empty());
            for (range, state) in after {
                self.change(&range, state, number, event.end());
            }
            if !is_inferred {
                for range in ranges {
                    self.pieces.stale(range);
                }
            }
        }
        for range in ranges {
            self.pending.add(number, range, event.end());
        }
    }

    /// What a reading found while this operation was under way was its work.
    fn claim(&mut self, event: &Event, range: &Range<u64>, number: u64) {
        for unseen in self.unseen.during(event) {
            let mut moved = self.unseen.take_gone(unseen, range);
            for (part, piece) in self.pieces.parts(&blocks(range)) {
                let Some(piece) = piece.filter(|piece| piece.by == unseen) else { continue };
                moved.push((part.clone(), piece.was));
                self.pieces.put(part, Piece { by: number, since: event.end(), ..piece });
            }
            for (part, was) in moved {
                let bytes = part.end - part.start;
                let state =
                    self.pieces.at(part.start).map_or(State::NoVma, |(_, piece)| piece.state);
                if let Some(claimed) = self.log.get_mut(unseen) {
                    claimed.subtract(was, state, bytes);
                }
                if let Some(transaction) = self.log.get_mut(number) {
                    transaction.add(was, state, bytes);
                }
            }
            if self.log.get(unseen).is_some_and(|transaction| transaction.changes.is_empty()) {
                self.log.forget(unseen);
            }
        }
    }

    /// What an operation makes of a range.
    fn change(&mut self, range: &Range<u64>, state: State, number: u64, time: u64) {
        let is_huge =
            |piece: &Piece| matches!(piece.state, State::Leaf(size, _) if size > LeafSize::BASE);
        if self.pieces.touched(range).any(|(_, piece)| is_huge(piece)) {
            self.pieces.cut(range.start);
            self.pieces.cut(range.end);
        }
        let source = if state == State::NoVma { Known::Observed } else { Known::Inferred };
        for (part, old) in self.pieces.parts(range) {
            let bytes = part.end - part.start;
            let was = old.map_or(State::NoVma, |old| old.state);
            if was == state {
                continue;
            }
            if let Some(transaction) = self.log.get_mut(number) {
                transaction.add(was, state, bytes);
            }
            if state == State::NoVma {
                self.pieces.remove(part);
            } else {
                self.pieces.put(part, Piece { state, source, was, by: number, since: time });
            }
        }
        match state {
            State::NoVma => self.cut_vmas(range),
            State::Leaf(size, _) if size > LeafSize::BASE => self.pieces.mend(range, size),
            State::Hole | State::Leaf(..) => {}
        }
    }

    /// VMAs end where a range begins, and begin where it ends.
    fn cut_vmas(&mut self, range: &Range<u64>) {
        let touched: Vec<Vma> = self
            .vmas
            .range(..range.end)
            .rev()
            .map(|(_, vma)| vma)
            .take_while(|vma| vma.end > range.start)
            .cloned()
            .collect();
        for vma in touched {
            self.vmas.remove(&vma.start);
            let before = Vma { end: range.start, ..vma.clone() };
            let offset = vma.offset.saturating_add(range.end.saturating_sub(vma.start));
            let behind = Vma { start: range.end, offset, ..vma };
            for part in [before, behind] {
                if part.start < part.end {
                    self.vmas.insert(part.start, part);
                }
            }
        }
    }

    /// Whether a fault is nothing but a hugetlb or THP fault in it, which has been told: it ends first.
    fn is_told_by_its_part(&self, event: &Event, page: &Range<u64>) -> bool {
        event.probe == Probe::MmFault
            && self.log.kept().iter().rev().take(NEAR).any(|transaction| match &transaction.cause {
                Cause::Operation(part) => {
                    let is_done =
                        matches!(part.detail, Detail::Fault { outcome: FaultOutcome::Done, .. });
                    is_done
                        && part.probe != Probe::MmFault
                        && part.by.tid == event.by.tid
                        && part.time >= event.time
                        && part.end() <= event.end()
                        && transaction.concerns(page)
                }
                Cause::Unseen | Cause::Lost(_) => false,
            })
    }

    /// Nothing of the address space is left.
    fn all_gone(&mut self, number: u64) {
        if let Some(transaction) = self.log.get_mut(number) {
            for (range, piece) in self.pieces.iter() {
                transaction.add(piece.state, State::NoVma, range.end - range.start);
            }
        }
        // Nothing more can be read of what came before.
        for transaction in self.log.kept_mut().iter_mut().filter(|one| one.settled.is_none()) {
            transaction.settled = Some(transaction.end());
        }
        self.pieces.clear();
        self.vmas.clear();
        self.pending = Pending::default();
    }

    /// Anything may be different.
    fn doubt(&mut self, number: u64, end: u64) {
        let all = 0..u64::MAX;
        self.pieces.stale(&all);
        self.pending.add(number, &all, end);
    }
}

/// The run that a piece is; holes are none.
fn run((range, piece): (Range<u64>, Option<Piece>)) -> Option<Run> {
    let State::Leaf(size, kind) = piece?.state else { return None };
    let fits = range.start.is_multiple_of(size.bytes()) && range.end.is_multiple_of(size.bytes());
    let size = if fits { size } else { LeafSize::BASE };
    Some(Run {
        start: range.start,
        size,
        count: (range.end - range.start) >> size.shift(),
        kind,
        folio_order: None,
        marks: None,
    })
}
