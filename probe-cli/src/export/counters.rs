//! What maps come to by leaf size, as time goes on.

use std::collections::BTreeMap;

use crate::{
    input::{Input, Note},
    model::sizes::Sizes,
    session::Session,
};

/// A map that only events change is looked at so often, in ns of the trace: a look goes over all pieces of a map.
const EVERY: u64 = 20_000_000;

/// What a process came to at one moment, where it is another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// When, in ns.
    pub(super) time: u64,
    /// The process.
    pub(super) pid: u32,
    /// Its name, escaped.
    pub(super) comm: String,
    /// Bytes by leaf size.
    pub(super) sizes: Sizes,
}

/// Which maps an input can have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// That of a process, by an event.
    Event(u32),
    /// That of a process, by a reading.
    Reading(u32),
    /// Any.
    Any,
}

impl Touched {
    /// By an input that a session is about to take.
    pub(super) fn by(input: &Input) -> Self {
        match input {
            Input::Event(event) => event.pid.map_or(Self::Any, Self::Event),
            Input::Reading(reading) => Self::Reading(reading.pid),
            Input::Note(Note::Gone { pid, .. } | Note::Left { pid, .. }) => Self::Reading(*pid),
            Input::Note(_)
            | Input::Sample(_)
            | Input::Census(_)
            | Input::Walkers(_)
            | Input::Replay(_) => Self::Any,
        }
    }
}

/// Looks at the maps of a session.
#[derive(Debug, Default)]
pub(super) struct Counters {
    processes: BTreeMap<u32, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    sizes: Option<Sizes>,
    time: u64,
    due: u64,
}

impl Counters {
    /// What is different, after the session has taken an input.
    pub(super) fn look(&mut self, session: &Session, touched: Touched) -> Vec<Count> {
        match touched {
            Touched::Event(pid) => self.one(session, pid, false).into_iter().collect(),
            Touched::Reading(pid) => self.one(session, pid, true).into_iter().collect(),
            Touched::Any => self.all(session, false),
        }
    }

    /// What is different at the end of a trace.
    pub(super) fn last(&mut self, session: &Session) -> Vec<Count> {
        self.all(session, true)
    }

    fn all(&mut self, session: &Session, is_due: bool) -> Vec<Count> {
        let pids: Vec<u32> = session.maps().keys().copied().collect();
        pids.into_iter().filter_map(|pid| self.one(session, pid, is_due)).collect()
    }

    fn one(&mut self, session: &Session, pid: u32, is_due: bool) -> Option<Count> {
        let Some(map) = session.maps().get(&pid) else {
            self.processes.remove(&pid);
            return None;
        };
        let seen = self.processes.entry(pid).or_default();
        if !is_due && session.now() < seen.due && !map.has_ended() {
            return None;
        }
        let sizes =
            if map.has_ended() { Sizes::default() } else { session.sizes(pid).unwrap_or_default() };
        seen.due = session.now().saturating_add(EVERY);
        if seen.sizes == Some(sizes) {
            return None;
        }
        seen.sizes = Some(sizes);
        seen.time = session.now().max(seen.time);
        Some(Count { time: seen.time, pid, comm: map.comm().to_owned(), sizes })
    }
}

#[cfg(test)]
mod tests {
    use super::{Counters, EVERY, Touched};
    use crate::{
        change::Change,
        event::Address,
        input::Note,
        model::{
            fixture::{run, vma},
            leaf::{LeafKind, LeafSize},
            sizes::SizeClass,
        },
        session::Session,
        track::fixture::{PID, change, start},
    };

    const M: u64 = 1 << 20;

    #[test]
    fn a_map_is_counted_when_it_is_read_and_from_time_to_time() {
        let (mut session, mut counters) = (Session::default(), Counters::default());
        let mut take = |input| {
            let touched = Touched::by(&input);
            session.take(input);
            let counts = counters.look(&session, touched);
            counts.iter().map(|count| count.sizes.get(SizeClass::Pmd)).collect::<Vec<_>>()
        };
        let runs = || vec![run(0, LeafSize::PMD, 2, LeafKind::Present)];
        assert_eq!(take(start(100, vma(0..4 * M), runs()).into()), [4 * M]);
        let zap =
            |time, at| change(time, Change::Zap { start: Address(at), end: Address(at + 2 * M) });
        assert!(take(zap(200, 0).into()).is_empty());
        assert_eq!(take(zap(200 + EVERY, 2 * M).into()), [0]);
        assert_eq!(take(start(300 + EVERY, vma(0..4 * M), runs()).into()), [4 * M]);
        assert_eq!(take(Note::Gone { time: 400 + EVERY, pid: PID }.into()), [0]);
        assert!(take(Note::Gone { time: 401 + EVERY, pid: PID }.into()).is_empty());
    }

    #[test]
    fn what_is_known_at_the_end_is_told() {
        let (mut session, mut counters) = (Session::default(), Counters::default());
        session.take(start(100, vma(0..4 * M), vec![]).into());
        assert_eq!(counters.last(&session).len(), 1);
        assert_eq!(counters.last(&session), []);
    }
}
