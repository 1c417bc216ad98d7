//! Folds what comes from the kernel, or from a trace, into what the views show.
//!
//! Pure: no I/O and no clock. Time comes in with each event and each sample.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

mod followed;
mod settled;

use probe_common::probe::{Family, PROBES, Probe};

use self::followed::Followed;
pub use self::{
    followed::{LeftOut, PROCESSES, Watch},
    settled::Settled,
};
use crate::{
    census::Census,
    event::Event,
    input::{Input, Note, Replay, Walkers},
    model::sizes::Sizes,
    sample::{ProcessSample, Sample},
    track::map::Tracked,
};

/// How many events the log keeps.
pub const LOG_LEN: usize = 4096;

/// What the events of the log may weigh, in units of 100 bytes: less than [`LOG_LEN`] of them are kept when their stacks
/// are deep.
const LOG_WEIGHT: usize = 1 << 21;

/// Everything that is known at this moment.
#[derive(Clone, Debug, Default)]
pub struct Session {
    last: Option<Sample>,
    processes: BTreeMap<u32, Process>,
    log: VecDeque<Arc<Event>>,
    log_weight: usize,
    events: u64,
    events_per_second: f64,
    followed: Followed,
    census: Census,
    walkers: Option<Walkers>,
    now: u64,
}

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Thread group; 0 stands for operations whose process the kernel does not tell.
    pub pid: u32,
    /// Its name, escaped.
    pub comm: String,
    /// Operations since the beginning, by probe number.
    pub calls: [u64; PROBES],
    /// Time spent in them in ns, by probe number.
    pub ns: [u64; PROBES],
    /// Operations per second between the last two samples, by probe number.
    pub rates: [f64; PROBES],
    /// Share of one CPU spent in them between the last two samples, by probe number.
    pub busy: [f64; PROBES],
}

// Arrays of more than 32 have no `Default`.
impl Default for Process {
    fn default() -> Self {
        Self {
            pid: 0,
            comm: String::new(),
            calls: [0; PROBES],
            ns: [0; PROBES],
            rates: [0.0; PROBES],
            busy: [0.0; PROBES],
        }
    }
}

impl Process {
    /// Operations per second of a family's main probes: operations that contain each other, such
    /// as a walk and its callbacks, count once.
    #[must_use]
    pub fn rate(&self, family: Family) -> f64 {
        main_probes(family).map(|probe| self.rates[probe.index()]).sum()
    }

    /// Operations of a family's main probes since the beginning.
    #[must_use]
    pub fn total(&self, family: Family) -> u64 {
        main_probes(family).map(|probe| self.calls[probe.index()]).sum()
    }

    /// Operations per second of all families that have a rate of their own in the table, none
    /// counted twice: a hugetlb or THP fault is one of the faults, where those are watched.
    #[must_use]
    pub fn rate_of_all(&self) -> f64 {
        let special = self.rate(Family::Hugetlb) + self.rate(Family::Thp);
        self.rate(Family::Fault).max(special)
            + self.rate(Family::Split)
            + self.rate(Family::Collapse)
            + self.rate(Family::Walk)
    }

    /// Operations of these families since the beginning, counted like [`Self::rate_of_all`].
    #[must_use]
    pub fn total_of_all(&self) -> u64 {
        let special = self.total(Family::Hugetlb) + self.total(Family::Thp);
        self.total(Family::Fault).max(special)
            + self.total(Family::Split)
            + self.total(Family::Collapse)
            + self.total(Family::Walk)
    }

    /// The least share of one CPU that the kernel spent on the address space between the last
    /// two samples, by whomever; more than 1 when several CPUs did.
    ///
    /// Faults, collapses and walks are apart from each other and add up; hugetlb and THP faults
    /// lie within the faults. A split may lie within a fault, a walk, a folio split or none of
    /// them, so splits only raise the result where they alone exceed that sum: nothing counts
    /// twice, and a process that is only split still shows.
    #[must_use]
    pub fn busy_of_all(&self) -> f64 {
        let busy = |family| main_probes(family).map(|probe| self.busy[probe.index()]).sum::<f64>();
        let faults = busy(Family::Fault).max(busy(Family::Hugetlb) + busy(Family::Thp));
        let apart = faults + busy(Family::Collapse) + busy(Family::Walk);
        apart.max(self.busy[Probe::PmdSplit.index()]).max(self.busy[Probe::FolioSplit.index()])
    }
}

/// The probes that stand for a family when its operations are counted.
///
/// The callbacks of a walk run inside of it, and `madvise(MADV_COLLAPSE)` contains collapses.
fn main_probes(family: Family) -> impl Iterator<Item = Probe> {
    Probe::ALL.into_iter().filter(move |probe| {
        probe.family() == family
            && !matches!(
                probe,
                Probe::WalkSmaps
                    | Probe::WalkSmapsHugetlb
                    | Probe::WalkPagemap
                    | Probe::WalkPagemapHugetlb
                    | Probe::CollapseRequest
            )
    })
}

impl Session {
    /// Takes in whatever comes.
    pub fn take(&mut self, input: Input) {
        self.passed(input.time());
        match input {
            Input::Event(event) => self.event(event),
            Input::Sample(sample) => self.sample(*sample),
            Input::Reading(reading) => {
                self.passed(reading.time.saturating_add(reading.duration));
                self.followed.read(&reading);
            }
            Input::Note(Note::Lost { time, number }) => {
                self.followed.lost(time, number);
            }
            Input::Note(Note::Gone { time, pid }) => self.followed.gone(time, pid),
            Input::Note(Note::Unread { pid, why, .. }) => self.followed.unread(pid, why),
            Input::Note(Note::Left { pid, .. }) => self.followed.forget(pid),
            Input::Census(found) => self.census.take(*found),
            Input::Walkers(walkers) => self.take_walkers(walkers),
            Input::Replay(Replay::Restart) => *self = Self::default(),
            Input::Replay(Replay::Progress(_)) => {}
        }
    }

    /// The latest time that anything came with, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    fn passed(&mut self, time: u64) {
        self.now = self.now.max(time);
    }

    /// The maps that are kept up to date, by PID.
    #[must_use]
    pub fn maps(&self) -> &BTreeMap<u32, Tracked> {
        &self.followed.maps
    }

    /// The map of a process; when it has ended, the last one before that.
    #[must_use]
    pub fn known(&self, pid: u32) -> Option<&Tracked> {
        self.followed.known(pid)
    }

    /// How a process is followed, if anybody tried.
    #[must_use]
    pub fn watch(&self, pid: u32) -> Option<&Watch> {
        self.followed.watches.get(&pid)
    }

    /// What there was no room for.
    #[must_use]
    pub fn left_out(&self) -> &LeftOut {
        &self.followed.left_out
    }

    /// The totals of all processes, where they are read in turn.
    #[must_use]
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// What a process comes to by leaf size: from its map, else as it was counted last.
    #[must_use]
    pub fn sizes(&self, pid: u32) -> Option<Sizes> {
        let counted = || self.census.get(pid).map(|count| count.sizes);
        self.known(pid).map(followed::sizes).or_else(counted)
    }

    /// What the walkers do; the rates are those between the last two reports. `None` where nobody asked.
    #[must_use]
    pub fn walkers(&self) -> Option<&Walkers> {
        self.walkers.as_ref()
    }

    fn take_walkers(&mut self, mut walkers: Walkers) {
        if let (Walkers::Counted(report), Some(Walkers::Counted(before))) =
            (&mut walkers, &self.walkers)
        {
            report.rates_since(before);
        }
        self.walkers = Some(walkers);
    }

    /// Takes in one event.
    pub fn event(&mut self, event: Event) {
        self.passed(event.end());
        let event = Arc::new(event);
        self.followed.event(&event);
        self.log_weight += event.weight();
        self.log.push_back(event);
        while (self.log.len() > LOG_LEN || self.log_weight > LOG_WEIGHT)
            && let Some(oldest) = self.log.pop_front()
        {
            self.log_weight -= oldest.weight();
        }
        self.events += 1;
    }

    /// Takes in what the kernel side has counted; rates are those since the sample before.
    pub fn sample(&mut self, sample: Sample) {
        self.passed(sample.time);
        let before = self.last.as_ref();
        let seconds = before.map_or(0.0, |before| seconds_between(before.time, sample.time));
        let per_second = |now: u64, then: u64| {
            if seconds > 0.0 { as_float(now.saturating_sub(then)) / seconds } else { 0.0 }
        };
        self.events_per_second =
            before.map_or(0.0, |before| per_second(sample.seen(), before.seen()));
        let old: BTreeMap<u32, &ProcessSample> = before
            .into_iter()
            .flat_map(|before| before.processes.iter().map(|process| (process.pid, process)))
            .collect();
        let first_sample = before.is_none();
        self.processes = sample
            .processes
            .iter()
            .map(|now| {
                // A process that is new since the last sample began at 0; on the first sample
                // nobody knows since when the numbers have grown.
                let then = match old.get(&now.pid) {
                    Some(then) => (*then).clone(),
                    None if first_sample => now.clone(),
                    None => ProcessSample::default(),
                };
                let process = Process {
                    pid: now.pid,
                    comm: now.comm.clone(),
                    calls: now.calls,
                    ns: now.ns,
                    rates: std::array::from_fn(|i| per_second(now.calls[i], then.calls[i])),
                    busy: std::array::from_fn(|i| per_second(now.ns[i], then.ns[i]) / 1e9),
                };
                (now.pid, process)
            })
            .collect();
        self.last = Some(sample);
    }

    /// The processes, by PID.
    #[must_use]
    pub fn processes(&self) -> &BTreeMap<u32, Process> {
        &self.processes
    }

    /// The last events, the oldest first; at most [`LOG_LEN`].
    #[must_use]
    pub fn log(&self) -> &VecDeque<Arc<Event>> {
        &self.log
    }

    /// Events taken in since the beginning.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Operations that the probes saw per second, between the last two samples.
    #[must_use]
    pub fn events_per_second(&self) -> f64 {
        self.events_per_second
    }

    /// The last sample.
    #[must_use]
    pub fn last_sample(&self) -> Option<&Sample> {
        self.last.as_ref()
    }
}

fn seconds_between(before: u64, now: u64) -> f64 {
    as_float(now.saturating_sub(before)) / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::{LOG_LEN, Process, Session};
    use crate::{
        event::{Actor, Address, Detail, Event, FaultOutcome},
        sample::{ProcessSample, Sample},
    };
    use probe_common::probe::{Family, Probe};

    fn sample(seconds: u64, pid: u32, faults: u64) -> Sample {
        let mut process = ProcessSample { pid, ..ProcessSample::default() };
        process.calls[Probe::HugetlbFault.index()] = faults;
        process.ns[Probe::HugetlbFault.index()] = faults * 1_000_000;
        let mut sample = Sample { time: seconds * 1_000_000_000, ..Sample::default() };
        sample.counters[Probe::HugetlbFault.index()].seen = faults;
        sample.processes.push(process);
        sample
    }

    #[test]
    fn rates_are_those_between_two_samples() {
        let mut session = Session::default();
        session.sample(sample(1, 7, 1000));
        assert!(session.processes()[&7].rate(Family::Hugetlb).abs() < 1e-9);
        session.sample(sample(3, 7, 1100));
        let process = &session.processes()[&7];
        assert!((process.rate(Family::Hugetlb) - 50.0).abs() < 1e-9);
        assert!((process.busy[Probe::HugetlbFault.index()] - 0.05).abs() < 1e-9);
        assert_eq!(process.total(Family::Hugetlb), 1100);
        assert!((session.events_per_second() - 50.0).abs() < 1e-9);
    }

    #[test]
    fn what_lies_within_each_other_counts_once() {
        let mut process = Process::default();
        for (probe, number) in [
            (Probe::MmFault, 10),
            (Probe::HugetlbFault, 4),
            (Probe::ThpFault, 2),
            (Probe::PmdSplit, 3),
            (Probe::WalkVma, 5),
            (Probe::WalkSmaps, 100),
            (Probe::Collapse, 1),
            (Probe::CollapseRequest, 1),
        ] {
            process.calls[probe.index()] = number;
            process.rates[probe.index()] = f64::from(u32::try_from(number).unwrap());
            process.busy[probe.index()] = f64::from(u32::try_from(number).unwrap()) / 100.0;
        }
        assert_eq!(process.total_of_all(), 10 + 3 + 5 + 1);
        assert!((process.rate_of_all() - 19.0).abs() < 1e-9);
        assert!((process.busy_of_all() - 0.16).abs() < 1e-9);
        // Without mm_fault its parts stand for the whole; splits alone still show.
        process.calls[Probe::MmFault.index()] = 0;
        assert_eq!(process.total_of_all(), 6 + 3 + 5 + 1);
        process.busy[Probe::PmdSplit.index()] = 0.5;
        assert!((process.busy_of_all() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_new_process_began_at_zero_and_a_gone_one_is_forgotten() {
        let mut session = Session::default();
        session.sample(sample(1, 7, 10));
        session.sample(sample(2, 8, 30));
        assert!((session.processes()[&8].rate(Family::Hugetlb) - 30.0).abs() < 1e-9);
        assert!(!session.processes().contains_key(&7));
    }

    #[test]
    fn the_log_keeps_the_last_events() {
        let mut session = Session::default();
        for time in 0..LOG_LEN as u64 + 3 {
            session.event(Event {
                time,
                probe: Probe::MmFault,
                duration: None,
                pid: None,
                by: Actor { pid: 1, tid: 1, comm: String::new(), kernel: false, cpu: 0 },
                detail: Detail::Fault {
                    address: Address(0),
                    write: false,
                    outcome: FaultOutcome::Done,
                    page_size: None,
                },
                stacks: None,
            });
        }
        assert_eq!(session.log().len(), LOG_LEN);
        assert_eq!(session.log().front().map(|event| event.time), Some(3));
        assert_eq!(session.events(), LOG_LEN as u64 + 3);
    }
}
