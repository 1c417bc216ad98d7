//! Events of the probes, and readings of what they mark: everything that a session needs, as it comes.

use std::{
    collections::BTreeMap,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use super::{
    census::{Census, Running},
    reader::{Read, Reader},
    turn::Turn,
};
use crate::{
    clock,
    input::{Input, Note},
    maps::source::MapError,
    plan::Report,
    probe::{Ended, Live, ProbeError},
    sample::Sample,
    track::{
        reading::Why,
        wanted::{Request, Wanted},
    },
};

/// How often what is marked is read again.
pub const TICK: Duration = Duration::from_millis(250);

/// Where nothing tells of changes, reading everything may take this share of the time.
const SHARE: u32 = 20;

/// How long a record is waited for that a thread has begun and not finished, because it was preempted there: those behind
/// it cannot be taken. What comes later is read at the next tick.
const UNFINISHED: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(1);

/// How often in a row something is read at a tick.
const ATTEMPTS: u32 = 4;

/// The probes, and the processes whose maps are kept up to date.
pub struct Collector {
    live: Live,
    reader: Reader,
    watched: BTreeMap<u32, Watched>,
    tick: Duration,
    due: Instant,
    /// The tick that is due, since when, in ns of the monotonic clock: readings come after what happened before it.
    began: Option<u64>,
    lost: u64,
    missed: u64,
    /// The changes of leaves, beside faults, are no events: this kernel does not tell them, or nobody asked.
    is_blind: bool,
    takes_turns: bool,
    /// Where all processes are counted.
    census: Option<Census>,
}

/// A process whose map is kept up to date.
struct Watched {
    wanted: Wanted,
    turn: Turn,
    /// When everything may be read again, where nothing tells of changes.
    rest: Instant,
    /// Calls that the kernel did not show, of whatever process, since everything was read.
    missed: u64,
    has_ended: bool,
}

impl Collector {
    /// Keeps the maps of some processes up to date, by probes that are told to send the events of them.
    #[must_use]
    pub fn new(live: Live, reader: Reader, pids: &[u32], tick: Duration) -> Self {
        let is_blind = !live.report().tells_of_changes();
        let mut collector = Self {
            live,
            reader,
            watched: BTreeMap::new(),
            tick,
            due: Instant::now(),
            began: None,
            lost: 0,
            missed: 0,
            is_blind,
            takes_turns: true,
            census: None,
        };
        for &pid in pids {
            collector.watch(pid);
        }
        collector
    }

    /// Reads only what is marked, and nothing in turn: what no event tells of stays unseen. For tests.
    #[must_use]
    pub fn without_turns(mut self) -> Self {
        self.takes_turns = false;
        self
    }

    /// Counts all processes by leaf size too, in turn.
    #[must_use]
    pub fn with_census(self) -> Self {
        Self { census: Some(Census::default()), ..self }
    }

    /// Keeps one more up to date.
    pub fn watch(&mut self, pid: u32) {
        let mut wanted = Wanted::default();
        wanted.everything();
        let rest = Instant::now();
        self.watched.insert(
            pid,
            Watched { wanted, turn: Turn::default(), rest, missed: 0, has_ended: false },
        );
    }

    /// Follows a process no more.
    pub fn unwatch(&mut self, pid: u32, mut take: impl FnMut(Input)) {
        if self.watched.remove(&pid).is_some() {
            self.reader.forget(pid);
            take(Note::Left { time: clock::monotonic(), pid }.into());
        }
    }

    /// Which probes are attached, and why others are not.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.live.report()
    }

    /// The probes.
    pub const fn live(&mut self) -> &mut Live {
        &mut self.live
    }

    /// Reads everything again as if it were the first time: what is handed out from now on stands for itself.
    ///
    /// # Errors
    /// When waiting or reading the counters fails.
    pub fn begin_anew(&mut self, take: impl FnMut(Input)) -> Result<(), ProbeError> {
        for (&pid, watched) in &mut self.watched {
            self.reader.forget(pid);
            watched.wanted.everything();
        }
        // Events that wait belong into what begins now, and mark again what they concern.
        self.readings(take)
    }

    /// Whether maps can only be kept up to date by reading everything again.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// Whether calls were missed, and the reading of everything that heals a map waits, so that such readings do not take too
    /// much of the time.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.watched.values().any(|watched| watched.missed > 0 && !watched.has_ended)
    }

    /// Lets what heals maps be read at the next tick, however long the reading before it took. For tests.
    pub fn hurry(&mut self) {
        let now = Instant::now();
        self.watched.values_mut().for_each(|watched| watched.rest = now);
    }

    /// Whether all the processes have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.watched.values().all(|watched| watched.has_ended)
    }

    /// Waits for events, at most `timeout`, and hands out what there is: events, and readings when a tick is due.
    ///
    /// # Errors
    /// When waiting or reading the counters fails.
    pub fn poll(
        &mut self,
        timeout: Duration,
        mut take: impl FnMut(Input),
    ) -> Result<(), ProbeError> {
        let timeout = timeout.min(self.due.saturating_duration_since(Instant::now()));
        let newest = self.events(timeout, &mut take)?;
        if self.began.is_none() && Instant::now() >= self.due {
            self.began = Some(clock::monotonic());
        }
        match self.began {
            Some(began) if newest.is_none_or(|newest| newest >= began) => self.readings(take),
            // A batch at a time, so that a caller can look at the clock.
            _ => Ok(()),
        }
    }

    /// Hands out a batch of events; gives the time of the last one.
    fn events(
        &mut self,
        timeout: Duration,
        take: &mut impl FnMut(Input),
    ) -> Result<Option<u64>, ProbeError> {
        let watched = &mut self.watched;
        let mut newest = None;
        self.live.poll(timeout, |event| {
            newest = Some(event.time);
            for (_, watched) in watched.iter_mut().filter(|(pid, _)| event.concerns(**pid)) {
                watched.wanted.event(&event);
            }
            take(event.into());
        })?;
        Ok(newest)
    }

    /// Reads again what is marked, now, after what happened until now.
    ///
    /// # Errors
    /// When waiting or reading the counters fails.
    pub fn tick(&mut self, mut take: impl FnMut(Input)) -> Result<(), ProbeError> {
        let began = clock::monotonic();
        let patience = Instant::now() + UNFINISHED;
        loop {
            match self.events(Duration::ZERO, &mut take)? {
                // What happens later waits, so that a flood of events cannot put the readings off for ever.
                Some(newest) if newest >= began => break,
                Some(_) => {}
                None if self.live.has_unfinished()? && Instant::now() < patience => {
                    thread::sleep(PAUSE);
                }
                None => break,
            }
        }
        self.readings(take)
    }

    /// Reads again what is marked.
    fn readings(&mut self, mut take: impl FnMut(Input)) -> Result<(), ProbeError> {
        self.began = None;
        let lost = self.live.lost()?;
        let mut why = Why::Marks;
        if lost > self.lost {
            take(Note::Lost { time: clock::monotonic(), number: lost - self.lost }.into());
            self.watched.values_mut().for_each(|watched| watched.wanted.everything());
            why = Why::Missed;
            self.lost = lost;
        }
        let missed = self.live.missed();
        for watched in self.watched.values_mut() {
            watched.missed += missed - self.missed;
        }
        self.missed = missed;
        let pids: Vec<u32> = self.watched.keys().copied().collect();
        for pid in pids {
            self.read(pid, why, &mut take);
        }
        if let Some(census) = &mut self.census
            && let Some(found) = census.step(&mut Running(&mut self.reader))
        {
            take(found.into());
        }
        self.due = Instant::now() + self.tick;
        Ok(())
    }

    /// Reads what is wanted of a process.
    fn read(&mut self, pid: u32, why: Why, take: &mut impl FnMut(Input)) {
        let Some(watched) = self.watched.get_mut(&pid) else { return };
        if watched.has_ended {
            return;
        }
        let blind = self.is_blind || !self.reader.reads_parts();
        let mut why = if blind { Why::Missed } else { why };
        if (blind || watched.missed > 0) && Instant::now() >= watched.rest {
            watched.wanted.everything();
        }
        // They need not have been of this process, and on a busy machine there are some every second.
        if watched.missed > 0 && watched.wanted.is_everything() {
            take(Note::Lost { time: clock::monotonic(), number: watched.missed }.into());
            watched.missed = 0;
            why = Why::Missed;
        }
        // What was torn is read again at once, and what is torn each time at the next tick.
        for _ in 0..ATTEMPTS {
            let watched = self.watched.get_mut(&pid);
            let Some(request) = watched.and_then(|watched| watched.wanted.take()) else { break };
            if self.request(pid, request, why, take).is_none() {
                break;
            }
        }
        if !blind && self.takes_turns {
            self.turn(pid, take);
        }
    }

    /// A slice, to find what no event told of.
    fn turn(&mut self, pid: u32, take: &mut impl FnMut(Input)) {
        let vmas = self.reader.ranges(pid);
        let Some(watched) = self.watched.get_mut(&pid) else { return };
        let ranges = watched.turn.next(&vmas);
        let request = Request::Some { vmas: false, files: false, ranges };
        let duration = self.request(pid, request, Why::Turn, take);
        if let (Some(watched), Some(duration)) = (self.watched.get_mut(&pid), duration) {
            watched.turn.took(Duration::from_nanos(duration));
        }
    }

    /// Reads; what could not be read stays marked. Gives the time that it took, in ns.
    fn request(
        &mut self,
        pid: u32,
        request: Request,
        why: Why,
        take: &mut impl FnMut(Input),
    ) -> Option<u64> {
        let is_everything = request == Request::Everything;
        let outcome = self.reader.read(pid, request, why);
        let watched = self.watched.get_mut(&pid)?;
        match outcome {
            Ok(Read { reading, torn }) => {
                let duration = reading.duration;
                mark_again(&mut watched.wanted, torn);
                // What is marked is read in any case: it neither ends the rest nor puts off what heals the map.
                if is_everything {
                    watched.rest = Instant::now() + Duration::from_nanos(duration) * SHARE;
                }
                take(reading.into());
                Some(duration)
            }
            Err(
                MapError::NoSuchProcess { .. } | MapError::Ended { .. } | MapError::Exited { .. },
            ) => {
                watched.has_ended = true;
                self.reader.forget(pid);
                take(Note::Gone { time: clock::monotonic(), pid }.into());
                None
            }
            Err(error) => {
                log::debug!("process {pid} is read again at the next tick: {error}");
                watched.wanted.everything();
                let time = clock::monotonic();
                take(Note::Unread { time, pid, why: error.to_string() }.into());
                None
            }
        }
    }

    /// What the kernel side has counted until now.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn sample(&mut self) -> Result<Sample, ProbeError> {
        self.live.sample()
    }

    /// Reads what is marked for the last time, detaches everything, hands out the events that are left, and gives the
    /// final counts.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn finish(mut self, mut take: impl FnMut(Input)) -> Result<Ended, ProbeError> {
        self.tick(&mut take)?;
        self.live.finish(|event| take(event.into()))
    }
}

/// What was torn is read again; a leaf that lies in two VMAs is newer than their list.
fn mark_again(wanted: &mut Wanted, torn: Vec<Range<u64>>) {
    for range in torn {
        wanted.vmas();
        wanted.range(range);
    }
}
