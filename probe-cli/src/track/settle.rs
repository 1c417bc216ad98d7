//! What a reading makes of a map: it has the last word, and each change stays with the operation that made it.

use std::ops::Range;

use rangemap::RangeSet;

use super::{
    log::Cause,
    map::{NOWHERE, Tracked},
    pieces::{Known, Piece},
    reading::{Reading, Why},
};
use crate::model::{
    diff::State,
    leaf::{LeafKind, LeafSize, Run},
    vma::Vma,
};

/// Where many changes of single pages meet, one piece stands for a table: more of them in one are joined.
const PIECES_IN_TABLE: usize = 16;

/// What a reading finds that no event has told of.
#[derive(Default)]
struct Finds {
    /// The number of its transaction.
    number: Option<u64>,
    /// What has no VMA any more, and what stood there.
    gone: Vec<(Range<u64>, State)>,
}

impl Tracked {
    /// Takes in what was read.
    pub fn read(&mut self, reading: &Reading) {
        self.comm.clone_from(&reading.comm);
        self.source = reading.source;
        self.readings += 1;
        self.work(reading);
        if reading.why == Why::Start {
            self.pieces.clear();
            self.vmas.clear();
            self.vmas_weight = 0;
            self.pending.caught_up(reading.time);
            self.has_ended = false;
            self.begun = reading.time;
        }
        let mut unseen = Finds::default();
        if let Some(vmas) = &reading.vmas {
            self.list(vmas, reading, &mut unseen);
        }
        let mut covered = RangeSet::new();
        let mut runs = reading.runs.iter().peekable();
        for &span in &reading.ranges {
            let range: Range<u64> = span.into();
            if range.start >= range.end {
                continue;
            }
            covered.insert(range.clone());
            let mut at = range.start;
            while let Some(run) = runs.next_if(|run| run.start < range.end) {
                // Of a damaged trace.
                let Some(end) = end_of(run).filter(|&end| run.start >= at && end <= range.end)
                else {
                    continue;
                };
                self.settle(at..run.start, State::Hole, reading, &mut unseen);
                self.settle(run.start..end, state(run), reading, &mut unseen);
                at = end;
            }
            self.settle(at..range.end, State::Hole, reading, &mut unseen);
        }
        if reading.torn == 0 {
            self.pending.caught_up(reading.time);
        }
        let read = reading.time.saturating_add(reading.duration);
        self.log.settle(|transaction| {
            let is_read = reading.torn == 0 || transaction.is_covered(&covered);
            (is_read && transaction.end() < reading.time).then_some(read)
        });
        if let Some(number) = unseen.number {
            let end = reading.time.saturating_add(reading.duration);
            self.unseen.add(number, reading.time..end, unseen.gone);
        }
        self.last = (reading.time, covered);
    }

    /// What it takes to take a reading in.
    fn work(&mut self, reading: &Reading) {
        let rows = reading.runs.len() + reading.ranges.len();
        let vmas = reading.vmas.as_ref().map_or(0, Vec::len);
        let (mut tables, mut pieces) = (0_u64, 0);
        for &span in &reading.ranges {
            let range: Range<u64> = span.into();
            tables = tables
                .saturating_add(range.end.saturating_sub(range.start) >> LeafSize::PMD.shift());
            pieces += self.pieces.count(&range);
        }
        self.effort.gain_by_reading(rows + vmas, tables);
        self.effort.spend(pieces * 4 + self.pending.len());
    }

    /// Takes the VMAs for what they are now, and forgets what lies outside of them.
    fn list(&mut self, vmas: &[Vma], reading: &Reading, unseen: &mut Finds) {
        let mut outside = RangeSet::new();
        outside.insert(0..u64::MAX);
        for vma in vmas.iter().filter(|vma| vma.start < vma.end) {
            outside.remove(vma.range());
        }
        for range in outside {
            self.settle(range, State::NoVma, reading, unseen);
        }
        self.effort.spend(self.vmas.len());
        self.vmas = vmas.iter().map(|vma| (vma.start, vma.clone())).collect();
        self.vmas_weight = self.vmas.values().map(Vma::weight).sum();
    }

    /// What stands in a range is known now; who made it so, when it is something else than was thought?
    fn settle(&mut self, range: Range<u64>, truth: State, reading: &Reading, unseen: &mut Finds) {
        if range.is_empty() {
            return;
        }
        let parts = self.pieces.parts(&range);
        let mut same = 0;
        for (part, old) in parts {
            match old {
                Some(old) if old.state == truth => {
                    same += 1;
                    if old.source != Known::Scanned {
                        self.pieces.put(part, Piece { source: Known::Scanned, ..old });
                    }
                }
                None if truth == State::NoVma => {}
                _ if reading.why == Why::Start => {
                    let (source, by, since) = (Known::Scanned, 0, reading.time);
                    let was = State::NoVma;
                    self.pieces.put(part, Piece { state: truth, source, was, by, since });
                }
                _ => self.correct(part, old, truth, reading, unseen),
            }
        }
        match truth {
            State::Leaf(size, _) if size > LeafSize::BASE => self.pieces.mend(&range, size),
            _ if same > PIECES_IN_TABLE => self.join(&range),
            _ => {}
        }
    }

    /// Something else stands in a part than was thought.
    fn correct(
        &mut self,
        part: Range<u64>,
        old: Option<Piece>,
        truth: State,
        reading: &Reading,
        unseen: &mut Finds,
    ) {
        let bytes = part.end - part.start;
        let thought = old.map_or(State::NoVma, |old| old.state);
        self.effort.spend(self.pending.candidates(&part));
        // A map that costs too much is given up after this reading, whoever is blamed.
        let blamed = if self.effort.is_spent() {
            None
        } else {
            let growth = old.is_none().then(|| self.pending.blame_for_vma(&part)).flatten();
            growth.or_else(|| self.pending.blame(&part))
        };
        let number = blamed.unwrap_or_else(|| {
            *unseen
                .number
                .get_or_insert_with(|| self.log.push(reading.time, Cause::Unseen, NOWHERE))
        });
        // What the operation itself was thought to have done was wrong, or was read in the midst of it: it made of what was
        // before what is there.
        let wrong = old.filter(|old| old.by == number);
        let was = wrong.map_or(thought, |old| old.was);
        let mut since = reading.time;
        self.log.change(number, |transaction| {
            if wrong.is_some() {
                transaction.subtract(was, thought, bytes);
            }
            transaction.add(was, truth, bytes);
            if blamed.is_some() {
                since = transaction.end();
            } else {
                let all = &mut transaction.ranges[0];
                *all =
                    if all.is_empty() { part.clone() } else { all.start.min(part.start)..part.end };
            }
        });
        if truth == State::NoVma {
            if blamed.is_none() {
                unseen.gone.push((part.clone(), was));
            }
            self.pieces.remove(part);
        } else {
            let source = Known::Scanned;
            self.pieces.put(part, Piece { state: truth, source, was, by: number, since });
        }
    }

    /// Where a table has too many pieces that are alike but for their history, the newest stands for all.
    fn join(&mut self, range: &Range<u64>) {
        let table = |address: u64| address >> LeafSize::PMD.shift();
        let parts = self.pieces.parts(range);
        for group in parts.chunk_by(|(one, _), (next, _)| table(one.start) == table(next.start)) {
            let newest = group.iter().filter_map(|(_, piece)| *piece).max_by_key(|p| p.since);
            if let ([(first, _), .., (last, _)], Some(newest)) = (group, newest)
                && group.len() > PIECES_IN_TABLE
            {
                self.pieces.put(first.start..last.end, newest);
            }
        }
    }
}

/// What a run says.
const fn state(run: &Run) -> State {
    match run.kind {
        LeafKind::Hole => State::Hole,
        kind => State::Leaf(run.size, kind),
    }
}

/// Where a run ends; `None` when it is impossible.
fn end_of(run: &Run) -> Option<u64> {
    let bytes = run.count.checked_mul(run.size.bytes())?;
    let end = run.start.checked_add(bytes)?;
    (bytes > 0 && run.start.is_multiple_of(run.size.bytes())).then_some(end)
}
