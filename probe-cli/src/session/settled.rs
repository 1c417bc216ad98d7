//! Every transaction of a session's maps, once, when what it did has been read.

use std::collections::BTreeMap;

use super::{PROCESSES, Session};
use crate::{
    input::{Input, Note},
    track::{
        log::{LOG_LEN, Transaction},
        map::Tracked,
    },
};

/// Events after which the transactions are looked at, so that none has been forgotten by then.
const LOOK: usize = LOG_LEN / 2;

/// Tells transactions while a session takes inputs.
#[derive(Debug, Default)]
pub struct Settled {
    /// The number of the last transaction that was told, by process.
    told: BTreeMap<u32, u64>,
    since_look: usize,
}

/// When something may be known that was not before.
enum When {
    Later,
    Of(u32),
    Now,
}

impl Settled {
    /// Lets a session take an input, and tells what is known now.
    pub fn take(
        &mut self,
        session: &mut Session,
        input: Input,
        mut tell: impl FnMut(&Tracked, &Transaction),
    ) {
        let when = match &input {
            Input::Event(_) => {
                self.since_look += 1;
                if self.since_look >= LOOK { When::Now } else { When::Later }
            }
            Input::Reading(reading) => When::Of(reading.pid),
            Input::Note(note) => {
                if let Note::Left { pid, .. } = note {
                    // Its map is about to be forgotten.
                    self.look(session, *pid, false, &mut tell);
                }
                When::Now
            }
            Input::Sample(_) | Input::Census(_) | Input::Walkers(_) | Input::Replay(_) => {
                When::Later
            }
        };
        session.take(input);
        match when {
            When::Later => {}
            When::Of(pid) => self.look(session, pid, false, &mut tell),
            When::Now => self.look_at_all(session, false, &mut tell),
        }
    }

    /// Tells what is left at the end: nobody reads any more what is not settled.
    pub fn rest(&mut self, session: &Session, mut tell: impl FnMut(&Tracked, &Transaction)) {
        self.look_at_all(session, true, &mut tell);
    }

    fn look_at_all(
        &mut self,
        session: &Session,
        is_over: bool,
        tell: &mut impl FnMut(&Tracked, &Transaction),
    ) {
        for &pid in session.maps().keys() {
            self.look(session, pid, is_over, tell);
        }
        self.since_look = 0;
    }

    fn look(
        &mut self,
        session: &Session,
        pid: u32,
        is_over: bool,
        tell: &mut impl FnMut(&Tracked, &Transaction),
    ) {
        let Some(map) = session.maps().get(&pid) else { return };
        if self.told.len() >= PROCESSES && !self.told.contains_key(&pid) {
            return;
        }
        let told = self.told.entry(pid).or_default();
        let last = map.transactions().back().map_or(0, |last| last.number);
        if last < *told {
            // It was forgotten, and is followed again.
            *told = 0;
        }
        let is_known = |one: &&Transaction| is_over || one.settled.is_some();
        for transaction in map.after(*told).take_while(is_known) {
            *told = transaction.number;
            tell(map, transaction);
        }
    }
}
