//! The map of one address space, kept up to date by events and readings.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use probe_common::probe::Probe;
use rangemap::RangeSet;

use super::{
    blame::{MOST, Pending},
    effort::Effort,
    infer::{infer, source},
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
    /// What the VMAs weigh.
    pub(super) vmas_weight: usize,
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
    pub(super) effort: Effort,
    /// The number of the last transaction that can be a part of a fault.
    last_part: u64,
}

/// An operation that changes a map before it is read again.
#[derive(Clone, Copy)]
struct Maker {
    /// The number of its transaction.
    number: u64,
    /// When it was over, in ns of `CLOCK_MONOTONIC`.
    end: u64,
    /// How what it made is known.
    source: Known,
}

const PAGE: u64 = LeafSize::BASE.bytes();

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
            vmas_weight: 0,
            pieces: Pieces::default(),
            pending: Pending::default(),
            log: Log::default(),
            unseen: Recent::default(),
            begun: 0,
            last: (0, RangeSet::new()),
            readings: 0,
            has_ended: false,
            effort: Effort::default(),
            last_part: 0,
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

    /// How much memory it takes, about, in pieces of some 100 bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let readings = self.last.1.len() + self.unseen.weight();
        self.pieces.len() + self.vmas_weight + self.pending.len() + self.log.weight() + readings
    }

    /// Whether it costs more than what comes in can be worth: only a trace that was made up asks for so much.
    #[must_use]
    pub const fn is_too_much(&self) -> bool {
        self.effort.is_spent()
    }

    /// Whether an operation was over before this program was seen first: it was one of another program, under the same
    /// PID.
    #[must_use]
    pub fn is_of_before(&self, event: &Event) -> bool {
        event.end() < self.begun
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

    /// The last transactions, of those after the one with this number.
    pub fn after(&self, number: u64) -> impl Iterator<Item = &Transaction> {
        let kept = self.log.kept();
        kept.range(kept.partition_point(|transaction| transaction.number <= number)..)
    }

    /// The transactions after the one with this number whose effect has been read, up to the first of which it has
    /// not: what comes later waits for that one.
    pub fn settled_after(&self, number: u64) -> impl Iterator<Item = &Transaction> {
        self.after(number).take_while(|transaction| transaction.settled.is_some())
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
    pub fn event(&mut self, event: impl Into<Arc<Event>>) {
        self.operation(&event.into());
    }

    fn operation(&mut self, event: &Arc<Event>) {
        self.effort.gain();
        let reach = Reach::of(event);
        let ranges = match &reach {
            Reach::Nothing => return,
            Reach::Leaves { ranges, .. } => ranges.clone(),
            Reach::Vmas(range) | Reach::History(range) => [range.clone(), 0..0],
            Reach::Files | Reach::Everything | Reach::End => NOWHERE,
        };
        if self.is_told_by_its_part(event, &ranges[0]) || self.goes_on(event, &ranges[0]) {
            return;
        }
        let number = self.log.push(event.time, Cause::Operation(Arc::clone(event)), ranges.clone());
        if is_part(event) {
            self.last_part = number;
        }
        match reach {
            Reach::Nothing => {}
            Reach::Vmas(range) => {
                self.inferred(event, &ranges, number);
                self.pending.add_vmas(number, &range, event.end());
            }
            Reach::History(_) => {
                self.log.change(number, |transaction| transaction.settled = Some(event.end()));
            }
            Reach::Files => {
                self.effort.spend(self.vmas.len() + self.pieces.len());
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
                if !self.is_of_before(event) {
                    self.all_gone(number);
                }
            }
            Reach::Everything => self.doubt(number, event.end()),
            // The end of the address space before, as an exec has it.
            Reach::End if self.is_of_before(event) => {}
            Reach::End => {
                self.all_gone(number);
                self.has_ended = true;
            }
        }
        let pending = self.pending.len();
        if pending > MOST {
            self.pending = Pending::default();
            self.lost(event.end(), pending as u64);
        }
    }

    /// Takes in that events were lost, of whatever process.
    pub fn lost(&mut self, time: u64, number: u64) {
        self.effort.gain();
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
            let looks = match range.end - range.start {
                0 => 0,
                // No piece is smaller than a page.
                1..=PAGE => 1,
                _ => self.pieces.count(range),
            };
            self.effort.spend(looks * 4);
            let unseen = self.unseen.during(event).len();
            if unseen > 0 {
                self.effort.spend(self.pieces.count(&blocks(range)) * unseen);
            }
        }
        for range in ranges {
            self.claim(event, range, number);
        }
        let is_read = event.end() < self.last.0
            && ranges
                .iter()
                .all(|range| range.is_empty() || self.last.1.gaps(range).next().is_none());
        if !is_read {
            // What is inferred everywhere is stale nowhere.
            if !self.inferred(event, ranges, number) {
                for range in ranges {
                    self.pieces.stale(range);
                }
            }
        }
        for range in ranges {
            self.pending.add(number, range, event.end());
        }
    }

    /// Changes the map as such an operation usually does; tells whether that was one thing for all of its range.
    fn inferred(&mut self, event: &Event, ranges: &[Range<u64>; 2], number: u64) -> bool {
        let after = infer(event, ranges, &self.pieces, |address| self.vma_at(address).cloned());
        let is_all = matches!(&after[..], [(all, _)] if *all == ranges[0] && ranges[1].is_empty());
        let maker = Maker { number, end: event.end(), source: source(event) };
        for (range, state) in after {
            self.change(&range, state, maker);
        }
        is_all
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
                self.log.change(unseen, |claimed| claimed.subtract(was, state, bytes));
                self.log.change(number, |transaction| transaction.add(was, state, bytes));
            }
            if self.log.get(unseen).is_some_and(|transaction| transaction.changes.is_empty()) {
                self.log.forget(unseen);
            }
        }
    }

    /// What an operation makes of a range.
    fn change(&mut self, range: &Range<u64>, state: State, maker: Maker) {
        let is_huge =
            |piece: &Piece| matches!(piece.state, State::Leaf(size, _) if size > LeafSize::BASE);
        if self.pieces.touched(range).any(|(_, piece)| is_huge(piece)) {
            self.pieces.cut(range.start);
            self.pieces.cut(range.end);
        }
        let Maker { number: by, end: since, source } = maker;
        for (part, old) in self.pieces.parts(range) {
            let bytes = part.end - part.start;
            let was = old.map_or(State::NoVma, |old| old.state);
            if was == state {
                continue;
            }
            self.log.change(by, |transaction| transaction.add(was, state, bytes));
            if state == State::NoVma {
                self.pieces.remove(part);
            } else {
                self.pieces.put(part, Piece { state, source, was, by, since });
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
        self.effort.spend(touched.len());
        for vma in touched {
            self.vmas.remove(&vma.start);
            self.vmas_weight -= vma.weight();
            let before = Vma { end: range.start, ..vma.clone() };
            let offset = vma.offset.saturating_add(range.end.saturating_sub(vma.start));
            let behind = Vma { start: range.end, offset, ..vma };
            for part in [before, behind] {
                if part.start < part.end {
                    self.vmas_weight += part.weight();
                    self.vmas.insert(part.start, part);
                }
            }
        }
    }

    /// Whether a fault is nothing but a hugetlb or THP fault in it, which has been told: it ends first.
    fn is_told_by_its_part(&self, event: &Event, page: &Range<u64>) -> bool {
        let kept = self.log.kept();
        let oldest = kept.get(kept.len().saturating_sub(NEAR));
        event.probe == Probe::MmFault
            && oldest.is_some_and(|transaction| transaction.number <= self.last_part)
            && kept.iter().rev().take(NEAR).any(|transaction| match &transaction.cause {
                Cause::Operation(part) => {
                    is_part(part)
                        && part.by.tid == event.by.tid
                        && part.time >= event.time
                        && part.end() <= event.end()
                        && transaction.concerns(page)
                }
                Cause::Unseen | Cause::Lost(_) => false,
            })
    }

    /// Whether it is the next VMA of a fork that has been told: they come in order.
    fn goes_on(&mut self, event: &Event, vma: &Range<u64>) -> bool {
        let Detail::Change(Change::Fork { end, errno, .. }) = &event.detail else { return false };
        let told = self.log.kept().iter().rev().take(NEAR).find(|transaction| {
            matches!(&transaction.cause, Cause::Operation(fork)
                if matches!(fork.detail, Detail::Change(Change::Fork { .. }))
                    && fork.by.tid == event.by.tid)
        });
        let Some(told) = told else { return false };
        if vma.start < told.ranges[0].end || event.time < told.end() {
            return false;
        }
        self.log.change(told.number, |told| {
            told.ranges[0].end = vma.end;
            told.settled = Some(event.end());
            let Cause::Operation(fork) = &mut told.cause else { return };
            let fork = Arc::make_mut(fork);
            fork.duration = Some(event.end().saturating_sub(fork.time));
            if let Detail::Change(Change::Fork { end: last, errno: outcome, .. }) = &mut fork.detail
            {
                (*last, *outcome) = (*end, *errno);
            }
        });
        true
    }

    /// Nothing of the address space is left.
    fn all_gone(&mut self, number: u64) {
        self.effort.spend(self.pieces.len());
        self.log.change(number, |transaction| {
            for (range, piece) in self.pieces.iter() {
                transaction.add(piece.state, State::NoVma, range.end - range.start);
            }
        });
        // Nothing more can be read of what came before.
        self.log.settle(|transaction| Some(transaction.end()));
        self.pieces.clear();
        self.vmas.clear();
        self.vmas_weight = 0;
        self.pending = Pending::default();
    }

    /// Anything may be different.
    fn doubt(&mut self, number: u64, end: u64) {
        let all = 0..u64::MAX;
        self.effort.spend(self.pieces.len());
        self.pieces.stale(&all);
        self.pending.add(number, &all, end);
    }
}

/// Whether it is a fault that another fault can be nothing but.
fn is_part(event: &Event) -> bool {
    event.probe != Probe::MmFault
        && matches!(event.detail, Detail::Fault { outcome: FaultOutcome::Done, .. })
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
