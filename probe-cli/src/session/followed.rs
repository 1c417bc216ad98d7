//! The maps of the processes that are followed, and how well that goes.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    change::Change,
    event::{Detail, Event},
    model::sizes::Sizes,
    track::{
        map::Tracked,
        reading::{Reading, Why},
    },
};

/// The most processes that are followed, as many as the kernel side takes.
pub const PROCESSES: usize = 4096;

/// What all maps together may weigh, in pieces of some 100 bytes. No line of a trace has more than 800 thousand runs.
const WEIGHT: usize = 1 << 22;

/// The processes that are followed.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed {
    pub(super) maps: BTreeMap<u32, Tracked>,
    pub(super) watches: BTreeMap<u32, Watch>,
    pub(super) left_out: LeftOut,
    weight: usize,
}

/// What a session had no room for: it takes in what a file says, and that can be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Readings and notes of more than 4096 processes.
    pub inputs: u64,
    /// Maps that were given up, because they were too large, or changed in a way that no process does.
    pub maps: u64,
}

impl LeftOut {
    /// What should be said about it; nothing when nothing was left out.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.inputs > 0 {
            let number = self.inputs;
            complaints.push(format!(
                "{number} readings and notes are of more than {PROCESSES} processes, and were left out"
            ));
        }
        if self.maps > 0 {
            let number = self.maps;
            complaints.push(format!(
                "{number} maps were given up: they are larger, or change more, than those of a process can"
            ));
        }
        complaints
    }
}

/// How a process is followed.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// When everything was read last.
    whole: Option<u64>,
    every: Option<u64>,
    trouble: Option<String>,
    /// The map just before the address space was gone.
    before_end: Option<Box<Tracked>>,
    /// It was too much, until the process is read for the first time again.
    is_given_up: bool,
}

impl Watch {
    /// The time between the last two readings of everything, in ns; `None` when there was one only, because
    /// events tell what has to be read.
    #[must_use]
    pub fn every(&self) -> Option<u64> {
        self.every
    }

    fn weight(&self) -> usize {
        self.before_end.as_ref().map_or(0, |map| map.weight())
    }

    /// Why it could not be read the last time.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

impl Followed {
    /// The map of a process; when it has ended, the last one before that.
    pub(super) fn known(&self, pid: u32) -> Option<&Tracked> {
        let before_end = || self.watches.get(&pid)?.before_end.as_deref();
        let map = self.maps.get(&pid)?;
        if map.has_ended() { before_end().or(Some(map)) } else { Some(map) }
    }

    pub(super) fn event(&mut self, event: &Arc<Event>) {
        if let (Some(pid), Detail::Change(Change::Exit)) = (event.pid, &event.detail)
            && self.maps.get(&pid).is_some_and(|map| !map.is_of_before(event))
        {
            self.keep(pid);
        }
        if event.is_of_all() {
            self.all(|map| map.event(Arc::clone(event)));
        } else if let Some(pid) = event.pid {
            self.change(pid, |map| map.event(Arc::clone(event)));
        }
    }

    /// Events were lost, of whatever process.
    pub(super) fn lost(&mut self, time: u64, number: u64) {
        self.all(|map| map.lost(time, number));
    }

    fn all(&mut self, change: impl Fn(&mut Tracked)) {
        let pids: Vec<u32> = self.maps.keys().copied().collect();
        for pid in pids {
            self.change(pid, &change);
        }
    }

    /// Changes a map, and gives it up when it becomes too much.
    fn change(&mut self, pid: u32, change: impl FnOnce(&mut Tracked)) {
        let Some(map) = self.maps.get_mut(&pid) else { return };
        self.weight -= map.weight();
        change(map);
        self.weight += map.weight();
        if map.is_too_much() || self.weight > WEIGHT {
            self.forget(pid);
            let trouble = Some("its map is larger, or changes more, than is followed".to_owned());
            self.watches.insert(pid, Watch { trouble, is_given_up: true, ..Watch::default() });
            self.left_out.maps += 1;
        }
    }

    /// Whether one more process can be followed, or this one is already; counted when it cannot.
    fn has_room(&mut self, pid: u32) -> bool {
        let has_room = self.watches.len() < PROCESSES || self.watches.contains_key(&pid);
        self.left_out.inputs += u64::from(!has_room);
        has_room
    }

    pub(super) fn read(&mut self, reading: &Reading) {
        if !self.has_room(reading.pid) {
            return;
        }
        let watch = self.watches.entry(reading.pid).or_default();
        if watch.is_given_up && reading.why != Why::Start {
            return;
        }
        watch.trouble = None;
        let is_whole = matches!(reading.why, Why::Start | Why::Missed) && reading.vmas.is_some();
        if reading.why == Why::Start {
            self.weight -= watch.weight();
            *watch = Watch::default();
        }
        if is_whole {
            watch.every = watch.whole.map(|last| reading.time.saturating_sub(last));
            watch.whole = Some(reading.time);
        }
        self.maps.entry(reading.pid).or_insert_with(|| Tracked::new(reading.pid));
        self.change(reading.pid, |map| map.read(reading));
    }

    pub(super) fn gone(&mut self, time: u64, pid: u32) {
        self.keep(pid);
        if self.maps.contains_key(&pid) {
            self.change(pid, |map| map.gone(time));
        } else if self.watches.get(&pid).is_none_or(|watch| !watch.is_given_up) {
            self.unread(pid, "it ended before it could be read".to_owned());
        }
    }

    pub(super) fn unread(&mut self, pid: u32, why: String) {
        if self.has_room(pid) {
            self.watches.entry(pid).or_default().trouble = Some(why);
        }
    }

    pub(super) fn forget(&mut self, pid: u32) {
        let map = self.maps.remove(&pid).map_or(0, |map| map.weight());
        let watch = self.watches.remove(&pid).map_or(0, |watch| watch.weight());
        self.weight -= map + watch;
    }

    /// Keeps the map of a process that is about to end.
    fn keep(&mut self, pid: u32) {
        if let Some(map) = self.maps.get(&pid).filter(|map| !map.has_ended()) {
            let watch = self.watches.entry(pid).or_default();
            self.weight -= watch.weight();
            watch.before_end = Some(Box::new(map.clone()));
            self.weight += watch.weight();
        }
    }
}

/// What a map comes to by leaf size.
pub(super) fn sizes(map: &Tracked) -> Sizes {
    let mut sizes = Sizes::default();
    for (range, piece) in map.pieces(&(0..u64::MAX)) {
        sizes.add(piece.state, range.end - range.start);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Followed, LeftOut, PROCESSES, WEIGHT};
    use crate::{
        change::Change,
        model::{
            fixture::{run, vma},
            leaf::{LeafKind, LeafSize},
        },
        track::{
            fixture::{PID, change, start},
            reading::{Reading, Why},
        },
    };

    fn reading(time: u64) -> Reading {
        start(time, vma(0..4 << 20), vec![run(0, LeafSize::PMD, 2, LeafKind::Present)])
    }

    #[test]
    fn what_was_known_before_the_end_is_kept() {
        for is_told in [true, false] {
            let mut followed = Followed::default();
            followed.read(&reading(100));
            if is_told {
                followed.event(&Arc::new(change(200, Change::Exit)));
            }
            followed.gone(300, PID);
            assert!(followed.maps[&PID].has_ended());
            assert_eq!(followed.known(PID).unwrap().vmas().len(), 1);
            // Another program has the PID now.
            followed.read(&reading(400));
            assert!(!followed.known(PID).unwrap().has_ended());
            followed.forget(PID);
            assert!(followed.known(PID).is_none());
        }
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let mut followed = Followed::default();
        for pid in 0..u32::try_from(PROCESSES).unwrap() + 3 {
            followed.read(&Reading { pid, ..reading(100) });
        }
        assert_eq!((followed.maps.len(), followed.left_out.inputs), (PROCESSES, 3));
        followed.forget(0);
        followed.unread(9999, "busy".to_owned());
        assert_eq!(followed.left_out, LeftOut { inputs: 3, maps: 0 });
        for pid in 1..u32::try_from(PROCESSES).unwrap() {
            followed.gone(200, pid);
            followed.forget(pid);
        }
        followed.forget(9999);
        assert_eq!((followed.weight, followed.watches.len()), (0, 0));
        // All of them together weigh too much: the one that grew is given up, and others are not.
        followed.read(&reading(100));
        followed.weight += WEIGHT;
        followed.read(&reading(200));
        assert_eq!(followed.left_out.maps, 1);
        assert!(followed.watches[&PID].trouble().unwrap().contains("larger"));
        followed.weight -= WEIGHT;
        followed.read(&Reading { why: Why::Marks, ..reading(300) });
        followed.gone(300, PID);
        assert!(followed.known(PID).is_none() && followed.weight == 0);
        followed.read(&reading(400));
        assert!(followed.known(PID).is_some());
        assert_eq!(followed.left_out.complaints().len(), 2);
    }

    #[test]
    fn how_often_everything_is_read() {
        let mut followed = Followed::default();
        followed.unread(PID, "busy".to_owned());
        assert_eq!(followed.watches[&PID].trouble(), Some("busy"));
        followed.read(&reading(100));
        assert_eq!(
            (followed.watches[&PID].trouble(), followed.watches[&PID].every()),
            (None, None)
        );
        followed.read(&Reading { why: Why::Turn, vmas: None, ..reading(150) });
        followed.read(&Reading { why: Why::Missed, ..reading(400) });
        assert_eq!(followed.watches[&PID].every(), Some(300));
        followed.gone(500, 9);
        assert!(followed.watches[&9].trouble().unwrap().contains("ended"));
    }
}
