//! Made-up processes, events and feeds for tests.

use std::time::{Duration, Instant};

use anyhow::bail;
use probe_common::probe::Probe;

use super::{Feed, Info, Input};
use crate::{
    event::{Actor, Address, Detail, Event, FaultOutcome, Path, SplitInto},
    sample::{ProcessSample, Sample},
    session::{Process, Session},
};

pub(super) use super::map_fixture::{OPENED, changes, counts, map, small_map};
pub(super) use crate::text::HOSTILE;

/// A start for the header.
pub(super) fn info() -> Info {
    Info { release: "6.12.9-amd64".to_owned(), attached: 14, wanted: 16, ..Info::default() }
}

/// A process as the session makes it, with this many operations per second.
pub(super) fn process(pid: u32, comm: &str, rate: u32) -> Process {
    let mut process = Process { pid, comm: comm.to_owned(), ..Process::default() };
    process.rates[Probe::MmFault.index()] = rate.into();
    process.calls[Probe::MmFault.index()] = rate.into();
    process
}

pub(super) fn event(time: u64, probe: Probe, pid: u32, detail: Detail) -> Event {
    let by = Actor { pid, tid: pid, comm: "worker".to_owned(), kernel: false, cpu: 0 };
    Event { time, probe, duration: Some(12_300), pid: Some(pid), by, detail, stacks: None }
}

/// A process splits a leaf of its own.
pub(super) fn split(time: u64, pid: u32) -> Event {
    let detail = Detail::PmdSplit {
        address: Address(0x7f12_3440_0000),
        into: SplitInto::Table,
        freeze: false,
    };
    event(time, Probe::PmdSplit, pid, detail)
}

/// khugepaged collapses a range of a process.
pub(super) fn collapse(time: u64, pid: u32) -> Event {
    let detail = Detail::Collapse {
        address: Some(Address(0x7f12_3440_0000)),
        outcome: "succeed".to_owned(),
        order: Some(9),
    };
    let by = Actor { pid: 51, tid: 51, comm: "khugepaged".to_owned(), kernel: true, cpu: 1 };
    Event { by, ..event(time, Probe::Collapse, pid, detail) }
}

/// Two samples, one second apart, between which each process had this many faults.
pub(super) fn two_samples(session: &mut Session, rates: &[(u32, u32)]) {
    let start = session.last_sample().map_or(0, |sample| sample.time);
    for step in 1..=2 {
        let mut sample = Sample { time: start + step * 1_000_000_000, ..Sample::default() };
        for &(pid, rate) in rates {
            let mut process = ProcessSample { pid, ..ProcessSample::default() };
            process.calls[Probe::MmFault.index()] = (step - 1) * u64::from(rate);
            sample.processes.push(process);
        }
        session.sample(sample);
    }
}

/// The sample at a second, with `processes` that do a bit of everything. The first four have
/// names of real life, the others hostile ones.
pub(super) fn sample(second: u64, processes: u32) -> Sample {
    const NAMES: [&str; 4] = ["postgres", "qemu-system-x86", "java", ""];
    let mut sample = Sample { time: second * 1_000_000_000, ..Sample::default() };
    for i in 0..processes {
        let name = NAMES.get(i as usize).copied();
        let name = name.unwrap_or(HOSTILE[i as usize % 10]);
        let mut process = ProcessSample {
            pid: if i == 3 { 0 } else { 1000 + i * 7 },
            comm: name.to_owned(),
            ..ProcessSample::default()
        };
        let scale = u64::from(processes - i) * second;
        for (probe, calls, ns) in [
            (Probe::MmFault, 317, 1_900),
            (Probe::HugetlbFault, 16, 21_000),
            (Probe::ThpFault, 9, 64_000),
            (Probe::PmdSplit, 3, 4_100),
            (Probe::Collapse, 1, 310_000),
            (Probe::WalkVma, 41, 5_200),
        ] {
            let calls = if (u64::from(i) + calls).is_multiple_of(3) { 0 } else { calls * scale };
            process.calls[probe.index()] = calls;
            process.ns[probe.index()] = calls * ns;
            sample.counters[probe.index()].seen += calls;
        }
        sample.processes.push(process);
    }
    sample
}

/// Events of one second.
pub(super) fn events(second: u64, processes: u32) -> Vec<Event> {
    let at = |ms: u64| second * 1_000_000_000 + ms * 1_000_000;
    let pid = |i: u32| 1000 + i % processes.max(1) * 7;
    let fault = Detail::Fault {
        address: Address(0x7fff_e760_0000),
        write: true,
        outcome: FaultOutcome::Fallback,
        page_size: Some(2 << 20),
    };
    let walk = Detail::Walk {
        start: Address(0x7f12_3440_0000),
        end: Address(0x7f12_3480_0000),
        path: Path::Hugetlb,
        callback: Some("smaps_hugetlb_range".to_owned()),
        result: 0,
    };
    let mut walk = event(at(77), Probe::WalkSmapsHugetlb, pid(0), walk);
    walk.by = Actor { pid: 88, tid: 88, comm: "node_exporter".into(), kernel: false, cpu: 0 };
    let mut folio =
        event(at(81), Probe::FolioSplit, pid(1), Detail::FolioSplit { new_order: 0, errno: -16 });
    (folio.pid, folio.duration) = (None, None);
    vec![
        split(at(1), pid(0)),
        event(at(5), Probe::HugetlbFault, pid(1), fault),
        collapse(at(42), pid(2)),
        walk,
        folio,
        split(at(90), pid(4)),
    ]
}

/// Three seconds of a machine on which something is going on.
pub(super) fn busy(processes: u32) -> Vec<Input> {
    (1..=3)
        .flat_map(|second| {
            let events = events(second, processes).into_iter().map(Input::from);
            [Input::from(sample(second, processes))].into_iter().chain(events)
        })
        .collect()
}

/// A feed that brings what it was told to, poll by poll, and then nothing or an error.
pub(super) struct Script {
    polls: std::vec::IntoIter<Vec<Input>>,
    error: Option<&'static str>,
}

impl Script {
    /// Brings these, then nothing.
    pub(super) fn new(polls: Vec<Vec<Input>>) -> Self {
        Self { polls: polls.into_iter(), error: None }
    }

    /// Fails at the end.
    pub(super) fn then_fail(self, error: &'static str) -> Self {
        Self { error: Some(error), ..self }
    }
}

impl Feed for Script {
    fn poll(&mut self, timeout: Duration) -> anyhow::Result<Vec<Input>> {
        match (self.polls.next(), self.error) {
            (Some(inputs), _) => Ok(inputs),
            (None, Some(error)) => bail!(error),
            (None, None) => {
                std::thread::sleep(timeout);
                Ok(Vec::new())
            }
        }
    }
}

/// A feed that goes on for ever in real time, to look at.
pub(super) struct Demo {
    start: Instant,
    second: u64,
}

impl Demo {
    /// Starts now.
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), second: 0 }
    }
}

impl Feed for Demo {
    fn poll(&mut self, timeout: Duration) -> anyhow::Result<Vec<Input>> {
        let second = self.start.elapsed().as_secs() + 1;
        if second == self.second {
            std::thread::sleep(timeout);
            return Ok(Vec::new());
        }
        self.second = second;
        let mut sample = sample(second, 60);
        if second > 5 {
            sample.counters[0].lost_ring = second * 11;
        }
        let mut inputs: Vec<_> = events(second, 60).into_iter().map(Input::from).collect();
        inputs.push(sample.into());
        Ok(inputs)
    }
}

/// Events without end, as fast as they are asked for, and a sample now and then.
#[derive(Default)]
pub(super) struct Flood {
    polls: u64,
}

impl Feed for Flood {
    fn poll(&mut self, _: Duration) -> anyhow::Result<Vec<Input>> {
        let mut inputs = vec![split(self.polls * 1_000_000, 1000).into(); 1000];
        if self.polls.is_multiple_of(1000) {
            inputs.push(sample(self.polls / 1000 + 1, 2000).into());
        }
        self.polls += 1;
        Ok(inputs)
    }
}
