//! What maps looked like as time went on: a fixed number of columns, whatever the length of the trace.
//!
//! A column is a stretch of time, and holds what stood at its end. When there are too many, each two become one that
//! is twice as long. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    rc::Rc,
};

use probe_common::probe::Family;

use crate::{
    event::Event,
    export::counters::Touched,
    maps::{
        strip::{self, Slices},
        tone::{TONES, Tone},
    },
    model::{diff::State, map::LeafMap, sizes::Sizes},
    session::Session,
    track::map::Tracked,
};

/// Columns at most, and half as many at least in a trace that is long enough.
const COLUMNS: usize = 256;

/// How long a column is at first, in ns.
const FIRST_WIDTH: u64 = 1_000_000;

/// Processes whose maps are kept.
const PROCESSES: usize = 8;

/// VMAs that are kept of a process in a column; those with the most memory.
const VMAS: usize = 512;

/// Processes that are told to be left out, and those that are looked at again at the end of a column.
const PIDS: usize = 1 << 16;

/// Characters of a name, and different names of VMAs.
const NAME: usize = 200;
const NAMES: usize = 1 << 14;

/// Slices of a VMA.
pub(super) const CELLS: usize = 32;

/// A trace in columns.
#[derive(Debug)]
pub(super) struct History {
    /// When the first column begins, in ns: the first time that anything came with.
    pub(super) start: Option<u64>,
    /// How long a column is, in ns.
    pub(super) width: u64,
    pub(super) columns: Vec<Column>,
    /// Names of the processes that are kept.
    pub(super) names: BTreeMap<u32, String>,
    /// Processes for which there was no room.
    pub(super) left_out: BTreeSet<u32>,
    touched: BTreeSet<u32>,
    is_any_touched: bool,
    vma_names: Names,
}

/// Names that many VMAs share.
#[derive(Debug, Default)]
struct Names(BTreeSet<Rc<str>>);

/// A stretch of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    /// Events that ended in it, by family.
    pub(super) events: [u64; Family::ALL.len()],
    /// What stood at its end, by process.
    pub(super) shots: BTreeMap<u32, Rc<Shot>>,
}

/// What a process looked like at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shot {
    pub(super) sizes: Sizes,
    /// In order.
    pub(super) vmas: Vec<Strip>,
    /// VMAs for which there was no room.
    pub(super) left_out: usize,
}

/// A VMA.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Strip {
    pub(super) start: u64,
    pub(super) end: u64,
    /// The file, or what it is.
    pub(super) name: Rc<str>,
    /// The class of leaves in each slice, by its number.
    pub(super) tones: Vec<u8>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            start: None,
            width: FIRST_WIDTH,
            columns: vec![Column::default()],
            names: BTreeMap::new(),
            left_out: BTreeSet::new(),
            touched: BTreeSet::new(),
            is_any_touched: false,
            vma_names: Names::default(),
        }
    }
}

impl History {
    /// Time goes on: columns that are over by then get what the session knows now.
    pub(super) fn until(&mut self, time: u64, session: &Session) {
        self.start.get_or_insert(time);
        if self.column(time) < self.columns.len() {
            return;
        }
        self.keep(session);
        while self.column(time) >= COLUMNS {
            self.halve();
        }
        while self.columns.len() <= self.column(time) {
            let shots = self.columns.last().map(|last| last.shots.clone()).unwrap_or_default();
            self.columns.push(Column { shots, ..Column::default() });
        }
    }

    /// Counts an event.
    pub(super) fn event(&mut self, event: &Event) {
        let number = self.column(event.end()).min(self.columns.len().saturating_sub(1));
        let family = Family::ALL.iter().position(|&family| family == event.probe.family());
        let count = self.columns.get_mut(number).zip(family);
        if let Some(count) = count.and_then(|(column, family)| column.events.get_mut(family)) {
            *count += 1;
        }
    }

    /// Something may be different at the end of this column.
    pub(super) fn touch(&mut self, touched: Touched) {
        match touched {
            Touched::Event(pid) | Touched::Reading(pid) if self.touched.len() < PIDS => {
                self.touched.insert(pid);
            }
            _ => self.is_any_touched = true,
        }
    }

    /// The last column is over.
    pub(super) fn finish(&mut self, session: &Session) {
        self.keep(session);
    }

    fn column(&self, time: u64) -> usize {
        let start = self.start.unwrap_or(0);
        usize::try_from(time.saturating_sub(start) / self.width).unwrap_or(usize::MAX)
    }

    /// Puts what the session knows into the last column.
    fn keep(&mut self, session: &Session) {
        let touched = std::mem::take(&mut self.touched);
        let is_any = std::mem::take(&mut self.is_any_touched);
        let Some(column) = self.columns.last_mut() else { return };
        for (&pid, map) in session.maps() {
            if !is_any && !touched.contains(&pid) {
                continue;
            }
            if !self.names.contains_key(&pid) && self.names.len() == PROCESSES {
                if self.left_out.len() < PIDS {
                    self.left_out.insert(pid);
                }
                continue;
            }
            if !map.has_ended() || !self.names.contains_key(&pid) {
                self.names.insert(pid, map.comm().chars().take(NAME).collect());
            }
            let shot = Shot::of(map, session.sizes(pid).unwrap_or_default(), &mut self.vma_names);
            if column.shots.get(&pid).is_none_or(|last| **last != shot) {
                column.shots.insert(pid, Rc::new(shot));
            }
        }
        column.shots.retain(|pid, _| session.maps().contains_key(pid));
    }

    /// Makes one column of each two.
    fn halve(&mut self) {
        self.width = self.width.saturating_mul(2);
        let both = |pair: &[Column]| {
            let mut joined = pair.last().cloned().unwrap_or_default();
            if let [first, _] = pair {
                for (sum, more) in joined.events.iter_mut().zip(first.events) {
                    *sum += more;
                }
            }
            joined
        };
        self.columns = self.columns.chunks(2).map(both).collect();
    }
}

impl Shot {
    fn of(map: &Tracked, sizes: Sizes, names: &mut Names) -> Self {
        if map.has_ended() {
            return Self::default();
        }
        let set = map.snapshot();
        let mut maps: Vec<&LeafMap> = set.maps().iter().collect();
        let left_out = maps.len().saturating_sub(VMAS);
        if left_out > 0 {
            maps.sort_by_cached_key(|map| {
                std::cmp::Reverse(
                    map.iter().collect::<crate::model::statistics::Statistics>().mapped(),
                )
            });
            maps.truncate(VMAS);
            maps.sort_by_key(|map| map.vma().start);
        }
        let mut loose = loose(map, &maps, names);
        let left_out = left_out + loose.len().saturating_sub(VMAS);
        loose.truncate(VMAS);
        let strip = |map: &LeafMap| {
            let vma = map.vma();
            Strip {
                start: vma.start,
                end: vma.end,
                name: names.get(&vma.label()),
                tones: strip::tones(map, CELLS).into_iter().map(number).collect(),
            }
        };
        let mut vmas: Vec<Strip> = maps.into_iter().map(strip).chain(loose).collect();
        vmas.sort_by_key(|vma| vma.start);
        Self { sizes, vmas, left_out }
    }
}

/// What is known outside of the VMAs that are: operations told of it, and the list of VMAs has not been read since.
fn loose(map: &Tracked, maps: &[&LeafMap], names: &mut Names) -> Vec<Strip> {
    let mut groups: Vec<Vec<(Range<u64>, u8)>> = Vec::new();
    for (range, piece) in map.pieces(&(0..u64::MAX)) {
        let tone = match piece.state {
            State::Leaf(size, kind) => Tone::of(size, kind),
            State::Hole => Tone::HOLE,
            State::NoVma => continue,
        };
        if map.vma_at(range.start).is_some() {
            continue;
        }
        let next = maps.partition_point(|map| map.vma().start <= range.start);
        let end = maps.get(next).map_or(range.end, |map| range.end.min(map.vma().start));
        let part = (range.start..end, number(tone));
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|(last, _)| last.end == range.start) => {
                group.push(part);
            }
            _ => groups.push(vec![part]),
        }
    }
    let name = names.get("not read yet");
    let strip = |group: Vec<(Range<u64>, u8)>| {
        let (start, end) = (group.first()?.0.start, group.last()?.0.end);
        let bytes = spread(&Slices::new(&(start..end), CELLS), group.into_iter());
        let tones = bytes.iter().map(|bytes| number(Tone::dominant(bytes))).collect();
        Some(Strip { start, end, name: Rc::clone(&name), tones })
    };
    groups.into_iter().filter_map(strip).collect()
}

/// Bytes of each class of leaves in each slice, from parts in order.
pub(super) fn spread(
    slices: &Slices,
    parts: impl Iterator<Item = (Range<u64>, u8)>,
) -> Vec<[u64; TONES]> {
    let mut bytes = vec![[0; TONES]; slices.len()];
    for (part, tone) in parts {
        for (cell, sums) in bytes.iter_mut().enumerate().skip(slices.of(part.start)) {
            let slice = slices.at(cell);
            if slice.start >= part.end {
                break;
            }
            let overlap = slice.end.min(part.end).saturating_sub(slice.start.max(part.start));
            if let Some(sum) = sums.get_mut(usize::from(tone)) {
                *sum += overlap;
            }
        }
    }
    bytes
}

impl Names {
    /// The same name as before, if it was there; `...` when there is no room for another one.
    fn get(&mut self, name: &str) -> Rc<str> {
        let end = name.char_indices().nth(NAME).map_or(name.len(), |(end, _)| end);
        let name = name.get(..end).unwrap_or(name);
        if let Some(known) = self.0.get(name) {
            return Rc::clone(known);
        }
        let name = Rc::<str>::from(if self.0.len() < NAMES { name } else { "..." });
        self.0.insert(Rc::clone(&name));
        name
    }
}

/// The number of a class of leaves.
pub(super) fn number(tone: Tone) -> u8 {
    u8::try_from(tone.index()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use probe_common::probe::Probe;

    use super::{COLUMNS, FIRST_WIDTH, History};
    use crate::{
        input::Input,
        maps::tone::Tone,
        model::{
            fixture::{run, vma},
            leaf::{LeafKind, LeafSize},
            sizes::SizeClass,
        },
        session::Session,
        track::fixture::{PID, fault, split, start},
    };

    const M: u64 = 1 << 20;

    fn of(inputs: Vec<Input>) -> History {
        let mut history = History::default();
        let mut session = Session::default();
        for input in inputs {
            history.until(input.time(), &session);
            if let Input::Event(event) = &input {
                history.event(event);
            }
            history.touch(crate::export::counters::Touched::by(&input));
            session.take(input);
        }
        history.finish(&session);
        history
    }

    fn reading(time: u64, leaves: u64) -> Input {
        start(time, vma(0..4 * M), vec![run(0, LeafSize::PMD, leaves, LeafKind::Present)]).into()
    }

    #[test]
    fn a_column_has_what_stood_at_its_end() {
        let history = of(vec![reading(5, 1), reading(6, 2), reading(3 * FIRST_WIDTH + 5, 1)]);
        let huge: Vec<_> =
            history.columns.iter().map(|c| c.shots[&PID].sizes.get(SizeClass::Pmd)).collect();
        assert_eq!(huge, [4 * M, 4 * M, 4 * M, 2 * M]);
    }

    #[test]
    fn what_is_known_before_the_list_of_vmas_is_shown() {
        let fault = |time, address| fault(time, Probe::ThpFault, address, true).into();
        let history = of(vec![reading(5, 1), fault(6, 8 * M), fault(7, 10 * M)]);
        let shot = &history.columns[0].shots[&PID];
        let loose = shot.vmas.iter().find(|vma| vma.start == 8 * M).unwrap();
        assert_eq!((loose.end, &*loose.name), (12 * M, "not read yet"));
        let huge = super::number(Tone::of(LeafSize::PMD, LeafKind::Present));
        assert_eq!(loose.tones, [huge; super::CELLS]);
        assert_eq!(shot.vmas.len(), 2);
    }

    #[test]
    fn a_long_trace_has_as_many_columns() {
        let number = 10_000;
        let events = (0..number).map(|i| split(i * FIRST_WIDTH, 0).into());
        let history = of(events.chain([reading(number * FIRST_WIDTH, 1)]).collect());
        assert!((COLUMNS / 2..=COLUMNS).contains(&history.columns.len()));
        let counted: u64 = history.columns.iter().flat_map(|column| column.events).sum();
        assert_eq!(counted, number);
        assert_eq!(history.columns.last().unwrap().shots.len(), 1);
        // A time that cannot be makes nothing hang.
        assert!(of(vec![reading(5, 1), split(u64::MAX, 0).into()]).columns.len() <= COLUMNS);
    }

    #[test]
    fn processes_beyond_the_limit_are_told() {
        let one = |pid| {
            let Input::Reading(mut reading) = reading(5, 1) else { panic!("a reading") };
            reading.pid = pid;
            Input::Reading(reading)
        };
        let history = of((1..20).map(one).collect());
        assert_eq!((history.names.len(), history.left_out.len()), (8, 11));
    }
}
