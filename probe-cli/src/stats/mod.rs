//! What a trace comes to: operations by cause and by VMA, bytes by leaf size, losses.
//!
//! Pure: it folds the inputs of a session, and looks at the session for what they did.

mod causes;
mod places;
pub mod text;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::{causes::CauseTotal, places::PlaceTotal};
use self::{causes::Causes, places::Places};
use crate::{
    input::{Input, Note},
    model::sizes::{SizeClass, Sizes},
    session::{PROCESSES, Session, Settled},
    track::map::Tracked,
};

/// Folds a trace.
#[derive(Debug, Default)]
pub struct Stats {
    session: Session,
    settled: Settled,
    causes: Causes,
    places: Places,
    /// The processes whose maps are in the trace, and their bytes by leaf size at first; of [`PROCESSES`] at most, though
    /// others may come when those have left.
    processes: BTreeMap<u32, Option<Sizes>>,
    begun: Option<u64>,
    readings: u64,
    summaries: u64,
    lost: u64,
}

/// Everything that is told about a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename = "stats")]
pub struct Summary {
    /// From the first thing with a time to the last one, in ns.
    pub duration: u64,
    /// Event lines.
    pub events: u64,
    /// Readings of address spaces.
    pub readings: u64,
    /// Summaries of the kernel's counters.
    pub summaries: u64,
    /// What made changes, those that changed or did the most first.
    pub causes: Vec<CauseTotal>,
    /// The VMAs that events named, those with the most events first.
    pub vmas: Vec<PlaceTotal>,
    /// Events whose VMA is not known.
    pub events_elsewhere: u64,
    /// The processes whose maps are in the trace, by PID.
    pub processes: Vec<ProcessTotal>,
    /// What is missing.
    pub losses: Losses,
}

/// An address space at the beginning and at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessTotal {
    /// The process.
    pub pid: u32,
    /// Its name, escaped.
    pub comm: String,
    /// Bytes by leaf size when it was first read.
    pub first: BTreeMap<&'static str, u64>,
    /// The same at the end, or just before the process ended.
    pub last: BTreeMap<&'static str, u64>,
    /// Whether its address space was gone at the end of the trace.
    pub has_ended: bool,
}

/// What is missing in a trace, as its notes and summaries tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Records for which there was no room in the ring buffer.
    pub lost_ring: u64,
    /// Operations of which too many were under way.
    pub lost_state: u64,
    /// Calls that the kernel did not show.
    pub missed: u64,
    /// Losses that were noticed while maps were followed; they are among those above.
    pub noticed: u64,
}

impl Losses {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Stats {
    /// Takes in whatever comes.
    pub fn take(&mut self, input: Input) {
        let time = input.time();
        if time > 0 {
            self.begun = Some(self.begun.map_or(time, |begun| begun.min(time)));
        }
        let mut read = None;
        match &input {
            Input::Event(event) => {
                self.causes.event(event);
                self.places.event(event, self.session.maps());
            }
            Input::Reading(reading) => {
                self.readings += 1;
                read = Some(reading.pid);
            }
            Input::Note(Note::Lost { number, .. }) => self.lost = self.lost.saturating_add(*number),
            Input::Sample(sample) => {
                self.summaries += 1;
                self.causes.sample(sample);
            }
            Input::Note(_) | Input::Census(_) | Input::Walkers(_) | Input::Replay(_) => {}
        }
        let (causes, places) = (&mut self.causes, &mut self.places);
        self.settled.take(&mut self.session, input, |map, transaction| {
            causes.transaction(transaction);
            places.transaction(transaction, map);
        });
        if let Some(pid) = read.filter(|pid| self.session.maps().contains_key(pid))
            && self.processes.len() < PROCESSES
        {
            let session = &self.session;
            self.processes.entry(pid).or_insert_with(|| session.sizes(pid));
        }
    }

    /// What the inputs have made until now.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// What it all comes to.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        self.settled.rest(&self.session, |map, transaction| {
            self.causes.transaction(transaction);
            self.places.transaction(transaction, map);
        });
        let process = |(&pid, &first): (&u32, &Option<Sizes>)| ProcessTotal {
            pid,
            comm: self.session.known(pid).map(Tracked::comm).unwrap_or_default().to_owned(),
            first: by_class(first),
            last: by_class(self.session.sizes(pid)),
            has_ended: self.session.maps().get(&pid).is_none_or(Tracked::has_ended),
        };
        let processes = self.processes.iter().map(process).collect();
        let sample = self.session.last_sample();
        let counters = || sample.into_iter().flat_map(|sample| &sample.counters);
        Summary {
            duration: self.session.now().saturating_sub(self.begun.unwrap_or(0)),
            events: self.session.events(),
            readings: self.readings,
            summaries: self.summaries,
            events_elsewhere: self.places.elsewhere(),
            causes: self.causes.finish(),
            vmas: self.places.finish(),
            processes,
            losses: Losses {
                lost_ring: counters().fold(0, |sum, one| sum.saturating_add(one.lost_ring)),
                lost_state: counters().fold(0, |sum, one| sum.saturating_add(one.lost_state)),
                missed: sample.map_or(0, |sample| sample.missed),
                noticed: self.lost,
            },
        }
    }
}

fn by_class(sizes: Option<Sizes>) -> BTreeMap<&'static str, u64> {
    let one = |sizes: Sizes| SizeClass::ALL.map(|class| (class.title(), sizes.get(class)));
    sizes.map(one).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::{Stats, Summary};
    use crate::{
        change::Change,
        event::Address,
        input::{Input, Note},
        model::{
            fixture::{run, vma},
            leaf::{LeafKind, LeafSize},
        },
        track::fixture::{self, reading, start},
    };

    const M: u64 = 1 << 20;

    fn stats(inputs: impl IntoIterator<Item = Input>) -> Summary {
        let mut stats = Stats::default();
        inputs.into_iter().for_each(|input| stats.take(input));
        stats.finish()
    }

    fn begin() -> Input {
        start(100, vma(0..4 * M), vec![run(0, LeafSize::PMD, 2, LeafKind::Present)]).into()
    }

    #[test]
    fn what_operations_changed_is_summed_when_it_was_read() {
        let after = vec![run(0, LeafSize::BASE, 512, LeafKind::Present)];
        let zap = Change::Zap { start: Address(0), end: Address(4096) };
        let summary = stats([
            begin(),
            fixture::split(200, 0).into(),
            reading(300, vec![(0..2 * M).into()], after).into(),
            // Nobody reads after this one: what it does is inferred.
            fixture::change(400, zap).into(),
        ]);
        let cause = |name: &str| summary.causes.iter().find(|cause| cause.cause == name).unwrap();
        assert_eq!((cause("pmd_split").events, cause("pmd_split").changed), (1, 2 * M));
        assert_eq!(cause("pmd_split").changes["2M -> 4K"], 2 * M);
        assert_eq!((cause("zap").changed, cause("zap").time), (4096, 10));
        assert_eq!((summary.vmas[0].events, summary.vmas[0].changed), (2, 2 * M + 4096));
        let process = &summary.processes[0];
        assert_eq!((process.first["2M"], process.first["4K"]), (4 * M, 0));
        assert_eq!((process.last["2M"], process.last["4K"]), (2 * M, 2 * M - 4096));
        assert_eq!((summary.duration, summary.readings), (310, 2));
    }

    #[test]
    fn many_operations_between_two_readings_are_all_counted() {
        let number = 3 * crate::track::log::LOG_LEN as u64;
        let events = (0..number).map(|time| Input::from(fixture::split(200 + time, 0)));
        let end = Note::Gone { time: number + 400, pid: fixture::PID };
        let summary = stats([begin()].into_iter().chain(events).chain([end.into()]));
        assert_eq!(summary.events, number);
        let split = summary.causes.iter().find(|cause| cause.cause == "pmd_split").unwrap();
        assert_eq!(split.events, number);
        assert!(summary.processes[0].has_ended && summary.processes[0].last["2M"] > 0);
    }

    #[test]
    fn losses_are_told() {
        let lost = Note::Lost { time: 5, number: 3 };
        let summary = stats([Input::from(lost)]);
        assert_eq!(summary.losses.noticed, 3);
        assert!(!summary.losses.is_empty() && stats([]).losses.is_empty());
    }
}
