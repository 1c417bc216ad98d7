//! The running probes: records and counters as they come.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuHashMap, RingBuf};
use aya_log::EbpfLogger;
use probe_common::{
    counters::{Counters, ProcessKey, ProcessStat},
    probe::{PROBES, Probe},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    ProbeError, Settings,
    attach::{Attached, Side, attach},
    decode::Decoder,
    stacks::Namer,
    targets::Targets,
};
use crate::{
    clock,
    escape::{escape, escape_padded},
    event::Event,
    kernel::{facts::Facts, symbols::Symbols},
    plan::{Plan, Report},
    sample::{ProcessSample, Sample},
};

/// How long operations that are under way get to end before the last programs are detached.
const GRACE: Duration = Duration::from_millis(20);

/// The longest wait between two looks at the ring buffer: the kernel side only wakes its reader when much
/// is waiting.
const LOOK: Duration = Duration::from_millis(50);

/// How many records are taken before the clock and the signals are looked at again.
const BATCH: usize = 1024;

/// The running probes. Dropping it detaches them.
pub struct Live {
    attached: Attached,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, Counters>,
    processes: PerCpuHashMap<MapData, ProcessKey, ProcessStat>,
    left_out: PerCpuArray<MapData, u64>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    decoder: Decoder,
    /// Where stacks are wanted.
    stacks: Option<Namer>,
    unreadable: u64,
    /// Names of the processes in the statistics.
    names: HashMap<u32, String>,
    /// Processes in the statistics that have ended.
    gone: HashSet<u32>,
    /// Where processes come later.
    targets: Option<Targets>,
    /// The only process that is looked at, until it has ended: its statistics are the counters.
    only: Option<u32>,
}

/// What the kernel side says when everything is detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What became of the operations that each probe saw, by probe number.
    pub counters: [Counters; PROBES],
    /// Records that came but could not be understood.
    pub unreadable: u64,
    /// Calls that the kernel did not show, by probe number; see [`Sample::missed`].
    pub missed: [u64; PROBES],
    /// Stacks that the kernel could not take; `None` when none were wanted.
    pub stacks_lost: Option<u64>,
}

impl Ended {
    /// Records that were lost, over all probes.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counters.iter().map(|counters| counters.lost_ring + counters.lost_state).sum()
    }
}

impl Live {
    /// Loads and attaches what the plan says.
    ///
    /// # Errors
    /// When the kernel does not take the maps. Programs that it does not take are in the report.
    pub fn start(
        facts: &Facts,
        symbols: Symbols,
        plan: Plan,
        settings: &Settings,
    ) -> Result<Self, ProbeError> {
        let mut attached = attach(plan, facts, settings)?;
        let ebpf = &mut attached.ebpf;
        let logger = if settings.log_level == 0 { None } else { EbpfLogger::init(ebpf).ok() };
        let ring = RingBuf::try_from(take(ebpf, "EVENTS")?).map_err(opening("EVENTS"))?;
        let counters =
            PerCpuArray::try_from(take(ebpf, "COUNTERS")?).map_err(opening("COUNTERS"))?;
        let processes =
            PerCpuHashMap::try_from(take(ebpf, "PROCESSES")?).map_err(opening("PROCESSES"))?;
        let left_out = PerCpuArray::try_from(take(ebpf, "PROCESSES_LEFT_OUT")?)
            .map_err(opening("PROCESSES_LEFT_OUT"))?;
        let targets = settings.later.is_some().then(|| targets(ebpf)).transpose()?;
        let stacks = settings.stacks.then(Namer::new).transpose()?;
        Ok(Self {
            attached,
            ring,
            counters,
            processes,
            left_out,
            logger,
            decoder: Decoder::new(facts, symbols),
            stacks,
            unreadable: 0,
            names: HashMap::new(),
            gone: HashSet::new(),
            targets,
            only: settings.only_target().filter(|_| settings.statistics),
        })
    }

    /// Which probes are attached, and why others are not.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.attached.report
    }

    /// The thread groups that are wanted, where they come and go ([`Settings::later`]).
    pub const fn targets(&mut self) -> Option<&mut Targets> {
        self.targets.as_mut()
    }

    /// Waits for records, until there are some or the time is over, and hands out the events; at
    /// most a batch of them, so that a caller can look at the clock.
    ///
    /// # Errors
    /// When waiting fails. A signal ends the wait without an error.
    pub fn poll(
        &mut self,
        timeout: Duration,
        mut take: impl FnMut(Event),
    ) -> Result<usize, ProbeError> {
        let end = Instant::now() + timeout;
        let mut taken = self.drain(BATCH, &mut take);
        while taken == 0
            && let Some(left) =
                end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            if self.is_readable(left.min(LOOK))?.is_none() {
                break;
            }
            taken = self.drain(BATCH, &mut take);
        }
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        Ok(taken)
    }

    fn drain(&mut self, most: usize, take: &mut impl FnMut(Event)) -> usize {
        let mut taken = 0;
        while taken < most
            && let Some(record) = self.ring.next()
        {
            let mut event = self.decoder.decode(&record);
            if let (Some(stacks), Some(event)) = (&mut self.stacks, &mut event) {
                stacks.add_to(event, &record);
            }
            match event {
                Some(event) => take(event),
                None => self.unreadable += 1,
            }
            taken += 1;
        }
        taken
    }

    /// Whether there are records within this time; none when a signal interrupts the wait.
    fn is_readable(&self, timeout: Duration) -> Result<Option<bool>, ProbeError> {
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&self.ring, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => Ok(Some(ready > 0)),
            Err(rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(ProbeError::Wait(error.into())),
        }
    }

    /// Whether there are records that cannot be taken yet: the kernel side has begun the first of them and not finished it
    /// (kernel/bpf/ringbuf.c, `BPF_RINGBUF_BUSY_BIT`; the file is readable while there is anything, finished or not).
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn has_unfinished(&self) -> Result<bool, ProbeError> {
        Ok(self.is_readable(Duration::ZERO)? == Some(true))
    }

    /// What the kernel side has counted until now.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn sample(&mut self) -> Result<Sample, ProbeError> {
        let mut processes: BTreeMap<u32, ProcessSample> = BTreeMap::new();
        let counters = self.counters()?;
        if let Some(pid) = self.only
            && counters.iter().any(|counters| counters.calls() > 0)
        {
            let calls = counters.map(|counters| counters.calls());
            let ns = counters.map(|counters| counters.ns);
            processes.insert(pid, ProcessSample { pid, calls, ns, ..ProcessSample::default() });
        }
        for row in &self.processes {
            let (key, values) = row.map_err(reading("PROCESSES"))?;
            let Some(probe) = u8::try_from(key.probe).ok().and_then(Probe::from_number) else {
                continue;
            };
            let process = processes
                .entry(key.tgid)
                .or_insert_with(|| ProcessSample { pid: key.tgid, ..ProcessSample::default() });
            for value in values.iter() {
                process.calls[probe.index()] += value.calls;
                process.ns[probe.index()] += value.ns;
                if process.comm.is_empty() && value.comm[0] != 0 {
                    process.comm = escape_padded(&value.comm);
                }
            }
        }
        self.name(&mut processes)?;
        let left_out = self.left_out.get(&0, 0).map_err(reading("PROCESSES_LEFT_OUT"))?;
        Ok(Sample {
            time: clock::monotonic(),
            processes: processes.into_values().collect(),
            counters,
            missed: self.missed(),
            left_out: left_out.iter().sum(),
        })
    }

    /// Adds the names. A process that is gone keeps the name it had, is shown once more with its
    /// last numbers, and then makes room for others.
    fn name(&mut self, processes: &mut BTreeMap<u32, ProcessSample>) -> Result<(), ProbeError> {
        self.names.retain(|pid, _| processes.contains_key(pid));
        for (&pid, process) in processes {
            let current = current_comm(pid);
            let gone = pid != 0 && current.is_none();
            if let Some(comm) = current {
                self.names.insert(pid, comm);
            }
            if let Some(comm) = self.names.get(&pid) {
                process.comm.clone_from(comm);
            }
            if !gone {
                self.gone.remove(&pid);
            } else if !self.gone.insert(pid) {
                self.forget(pid)?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, pid: u32) -> Result<(), ProbeError> {
        if self.only == Some(pid) {
            self.only = None;
        }
        for probe in Probe::ALL {
            match self.processes.remove(&ProcessKey { tgid: pid, probe: u32::from(probe as u8) }) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(MapError::SyscallError(error))
                    if error.io_error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(reading("PROCESSES")(error)),
            }
        }
        self.gone.remove(&pid);
        Ok(())
    }

    /// Records that were lost until now, over all probes.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn lost(&self) -> Result<u64, ProbeError> {
        self.so_far().map(|ended| ended.lost())
    }

    /// Calls that the kernel did not show until now, over all probes; see [`Sample::missed`].
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.attached.missed().iter().sum()
    }

    fn counters(&self) -> Result<[Counters; PROBES], ProbeError> {
        let mut all = [Counters::default(); PROBES];
        for (number, sum) in (0..).zip(&mut all) {
            let values = self.counters.get(&number, 0).map_err(reading("COUNTERS"))?;
            for value in values.iter() {
                sum.seen += value.seen;
                sum.filtered += value.filtered;
                sum.ignored += value.ignored;
                sum.counted += value.counted;
                sum.emitted += value.emitted;
                sum.lost_ring += value.lost_ring;
                sum.lost_state += value.lost_state;
                sum.ns += value.ns;
            }
        }
        Ok(all)
    }

    /// Detaches everything, hands out what is still in the ring buffer, and gives the final counts.
    ///
    /// No new operation is followed from the first step on; those under way get a moment to end.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn finish(mut self, mut take: impl FnMut(Event)) -> Result<Ended, ProbeError> {
        self.attached.detach(Side::Entry);
        let end = Instant::now() + GRACE;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.poll(left, &mut take)?;
        }
        self.attached.detach(Side::Exit);
        while self.drain(BATCH, &mut take) > 0 {}
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        self.so_far()
    }

    /// What [`Self::finish`] would say if nothing more came.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn so_far(&self) -> Result<Ended, ProbeError> {
        Ok(Ended {
            counters: self.counters()?,
            unreadable: self.unreadable,
            missed: self.attached.missed(),
            stacks_lost: self.stacks.as_ref().map(Namer::lost),
        })
    }
}

fn targets(ebpf: &mut aya::Ebpf) -> Result<Targets, ProbeError> {
    let left_out = PerCpuArray::try_from(take(ebpf, "TARGETS_LEFT_OUT")?);
    let map = aya::maps::HashMap::try_from(take(ebpf, "TARGETS")?).map_err(opening("TARGETS"))?;
    Ok(Targets::new(map, left_out.map_err(opening("TARGETS_LEFT_OUT"))?))
}

/// The escaped name of a running process; a thread may have changed it since the last look.
#[must_use]
pub fn current_comm(pid: u32) -> Option<String> {
    let comm = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(escape(comm.strip_suffix(b"\n").unwrap_or(&comm)))
}

pub(super) fn take(ebpf: &mut aya::Ebpf, name: &'static str) -> Result<Map, ProbeError> {
    ebpf.take_map(name).ok_or(ProbeError::Map {
        action: "find",
        map: name,
        error: MapError::InvalidName { name: name.to_owned() },
    })
}

pub(super) fn opening(map: &'static str) -> impl Fn(MapError) -> ProbeError {
    move |error| ProbeError::Map { action: "open", map, error }
}

pub(super) fn reading(map: &'static str) -> impl Fn(MapError) -> ProbeError {
    move |error| ProbeError::Map { action: "read", map, error }
}
