//! What flows into a session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    census::Found, event::Event, sample::Sample, track::reading::Reading, walk::report::Report,
};

/// One thing that the probes, or a trace, bring.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// An operation of the kernel.
    Event(Event),
    /// The kernel side's numbers at one moment; boxed, because events are many and smaller.
    Sample(Box<Sample>),
    /// What stood in an address space at one moment.
    Reading(Box<Reading>),
    /// What came to notice between events.
    Note(Note),
    /// What processes come to by leaf size.
    Census(Box<Found>),
    /// What the walkers do, where somebody asked for that; no part of a trace.
    Walkers(Walkers),
    /// A trace is replayed, and this is how far.
    Replay(Replay),
}

/// How the calls of walkers are counted.
#[derive(Clone, Debug, PartialEq)]
pub enum Walkers {
    /// So many functions are being attached to.
    Attaching(usize),
    /// They cannot be counted, or no more: why, and the cure.
    Refused(String),
    /// What they did since the counting began.
    Counted(Box<Report>),
}

/// How a trace is replayed; no part of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It begins anew: all that came before is void.
    Restart,
    /// How it goes now.
    Progress(Progress),
}

/// How far a trace is replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The moment that is shown, in ns of the trace's clock.
    pub time: u64,
    /// What it does.
    pub pace: Pace,
    /// How fast it plays: so many times as fast as it was, as a power of two.
    pub speed: i8,
    /// What should be said: why it stopped, or what could not be done.
    pub said: Option<String>,
}

/// What a replay does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// It plays.
    #[default]
    Plays,
    /// It waits.
    Paused,
    /// It reads as fast as it can, to a place that was asked for.
    Seeks,
    /// All of it has been shown.
    Ended,
}

/// What came to notice between events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// Events were lost, or calls not shown by the kernel, of whatever process.
    Lost {
        /// When that was noticed, in ns of `CLOCK_MONOTONIC`.
        time: u64,
        /// How many since the last time.
        number: u64,
    },
    /// A process has ended.
    Gone {
        /// When that was noticed, in ns of `CLOCK_MONOTONIC`.
        time: u64,
        /// The process.
        pid: u32,
    },
    /// A process could not be read; it is tried again.
    Unread {
        /// When that was, in ns of `CLOCK_MONOTONIC`.
        time: u64,
        /// The process.
        pid: u32,
        /// Why, in one sentence.
        why: String,
    },
    /// A process is not followed any more: its map is forgotten.
    Left {
        /// When that was, in ns of `CLOCK_MONOTONIC`.
        time: u64,
        /// The process.
        pid: u32,
    },
}

impl Note {
    /// When it was, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn time(&self) -> u64 {
        match self {
            Self::Lost { time, .. }
            | Self::Gone { time, .. }
            | Self::Unread { time, .. }
            | Self::Left { time, .. } => *time,
        }
    }
}

impl Input {
    /// When it was, in ns of `CLOCK_MONOTONIC`; 0 for what has no time.
    #[must_use]
    pub fn time(&self) -> u64 {
        match self {
            Self::Event(event) => event.end(),
            Self::Sample(sample) => sample.time,
            Self::Reading(reading) => reading.time,
            Self::Note(note) => note.time(),
            Self::Walkers(_) | Self::Replay(_) => 0,
            Self::Census(found) => found.counts.iter().map(|count| count.time).max().unwrap_or(0),
        }
    }
}

impl From<Event> for Input {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

impl From<Sample> for Input {
    fn from(sample: Sample) -> Self {
        Self::Sample(Box::new(sample))
    }
}

impl From<Reading> for Input {
    fn from(reading: Reading) -> Self {
        Self::Reading(Box::new(reading))
    }
}

impl From<Note> for Input {
    fn from(note: Note) -> Self {
        Self::Note(note)
    }
}

impl From<Found> for Input {
    fn from(found: Found) -> Self {
        Self::Census(Box::new(found))
    }
}
