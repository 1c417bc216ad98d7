//! What flows into a session.

use crate::{census::Found, event::Event, sample::Sample, track::reading::Reading};

/// One thing that the probes, or a trace, bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// An operation of the kernel.
    Event(Event),
    /// The kernel side's numbers at one moment; boxed, because events are many and smaller.
    Sample(Box<Sample>),
    /// What stood in an address space at one moment.
    Reading(Box<Reading>),
    /// Events were lost, of whatever process.
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
    /// What processes come to by leaf size.
    Census(Box<Found>),
}

impl Input {
    /// When it was, in ns of `CLOCK_MONOTONIC`; 0 for what has no time.
    #[must_use]
    pub fn time(&self) -> u64 {
        match self {
            Self::Event(event) => event.end(),
            Self::Sample(sample) => sample.time,
            Self::Reading(reading) => reading.time,
            Self::Lost { time, .. }
            | Self::Gone { time, .. }
            | Self::Unread { time, .. }
            | Self::Left { time, .. } => *time,
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

impl From<Found> for Input {
    fn from(found: Found) -> Self {
        Self::Census(Box::new(found))
    }
}
