//! The maps of the processes that are followed, and how well that goes.

use std::collections::BTreeMap;

use crate::{
    change::Change,
    event::{Detail, Event},
    model::sizes::Sizes,
    track::{
        map::Tracked,
        reading::{Reading, Why},
    },
};

/// The processes that are followed.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed {
    pub(super) maps: BTreeMap<u32, Tracked>,
    pub(super) watches: BTreeMap<u32, Watch>,
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
}

impl Watch {
    /// The time between the last two readings of everything, in ns; `None` when there was one only, because
    /// events tell what has to be read.
    #[must_use]
    pub fn every(&self) -> Option<u64> {
        self.every
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

    pub(super) fn event(&mut self, event: &Event) {
        if let (Some(pid), Detail::Change(Change::Exit)) = (event.pid, &event.detail) {
            self.keep(pid);
        }
        for (_, map) in self.maps.iter_mut().filter(|(pid, _)| event.concerns(**pid)) {
            map.event(event);
        }
    }

    pub(super) fn read(&mut self, reading: &Reading) {
        let watch = self.watches.entry(reading.pid).or_default();
        watch.trouble = None;
        let is_whole = matches!(reading.why, Why::Start | Why::Missed) && reading.vmas.is_some();
        if reading.why == Why::Start {
            *watch = Watch::default();
        }
        if is_whole {
            watch.every = watch.whole.map(|last| reading.time.saturating_sub(last));
            watch.whole = Some(reading.time);
        }
        let map = self.maps.entry(reading.pid).or_insert_with(|| Tracked::new(reading.pid));
        map.read(reading);
    }

    pub(super) fn gone(&mut self, time: u64, pid: u32) {
        self.keep(pid);
        match self.maps.get_mut(&pid) {
            Some(map) => map.gone(time),
            None => self.unread(pid, "it ended before it could be read".to_owned()),
        }
    }

    pub(super) fn unread(&mut self, pid: u32, why: String) {
        self.watches.entry(pid).or_default().trouble = Some(why);
    }

    pub(super) fn forget(&mut self, pid: u32) {
        self.maps.remove(&pid);
        self.watches.remove(&pid);
    }

    /// Keeps the map of a process that is about to end.
    fn keep(&mut self, pid: u32) {
        if let Some(map) = self.maps.get(&pid).filter(|map| !map.has_ended()) {
            self.watches.entry(pid).or_default().before_end = Some(Box::new(map.clone()));
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
    use super::Followed;
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
                followed.event(&change(200, Change::Exit));
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
