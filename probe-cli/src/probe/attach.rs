//! Loads and attaches what the plan says, and goes on to the next candidate where the kernel does
//! not agree.

use std::os::fd::AsFd as _;

use aya::{
    Btf, Ebpf,
    maps::HashMap,
    programs::{FEntry, FExit, KProbe, Program, ProgramError, RawTracePoint},
};
use probe_common::{
    config::{Config, SLOTS},
    probe::{Family, PROBES, Probe},
    record::COMM_LEN,
    site::Sites,
};

use super::{
    ProbeError,
    error::brief_program_error,
    functions::functions,
    instructions::Instructions,
    misses::misses,
    object::{self, Sizes},
};
use crate::{
    kernel::facts::{Facts, Mechanism},
    plan::{Candidate, Plan, Reason, Report, report::Outcome},
};

/// What is wanted of the programs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The families whose probes are attached.
    pub families: Vec<Family>,
    /// Probes whose operations come as events; all are counted.
    pub stream: Vec<Probe>,
    /// Only operations on these thread groups; empty: on all, unless others are to be found.
    pub targets: Vec<u32>,
    /// And on those that come later.
    pub later: Later,
    /// Keep statistics by process.
    pub statistics: bool,
    /// Events have the stacks of the thread.
    pub stacks: bool,
    /// Bytes of the ring buffer: a power of two, at least a page.
    pub ring_bytes: u32,
    /// What the programs report through aya-log: 0 nothing, 5 everything.
    pub log_level: u8,
}

/// Which processes are wanted that are not there yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Later {
    /// The children of those that are wanted, from their first instruction.
    pub children: bool,
    /// Those that begin a program of this name, padded with zeroes.
    pub name: Option<[u8; COMM_LEN]>,
}

impl Later {
    /// Whether there can be any.
    #[must_use]
    pub fn is_some(&self) -> bool {
        *self != Self::default()
    }
}

impl Settings {
    /// The thread group, where there is one only.
    pub(super) fn only_target(&self) -> Option<u32> {
        match self.targets[..] {
            [target] if !self.later.is_some() => Some(target),
            _ => None,
        }
    }
}

/// The most thread groups that can be wanted at once, where others come later.
const MOST_TARGETS: u32 = 1 << 16;

/// The part of the ring buffer that may fill before the reader is woken.
const HURRY: u32 = 8;

/// Enough for about 80,000 records.
pub const RING_BYTES: u32 = 8 << 20;

/// Enough for about 20,000 records with stacks.
pub const RING_BYTES_WITH_STACKS: u32 = 32 << 20;

impl Default for Settings {
    fn default() -> Self {
        Self {
            families: Family::ALL.to_vec(),
            stream: Probe::ALL.to_vec(),
            targets: Vec::new(),
            later: Later::default(),
            statistics: false,
            stacks: false,
            ring_bytes: RING_BYTES,
            log_level: 0,
        }
    }
}

/// The programs, attached.
pub(super) struct Attached {
    pub(super) ebpf: Ebpf,
    pub(super) report: Report,
    choice: Choice,
    /// Calls that programs were not shown which are detached now, by probe number.
    missed: [u64; PROBES],
}

/// The candidate of each probe.
type Choice = [Option<usize>; PROBES];

/// Loads and attaches.
///
/// The positions of arguments are fixed when the maps are created, so a candidate with other
/// positions needs the whole object anew. That only happens when the kernel refuses what the plan
/// thought possible.
pub(super) fn attach(
    mut plan: Plan,
    facts: &Facts,
    settings: &Settings,
) -> Result<Attached, ProbeError> {
    plan.retain(|probe| settings.families.contains(&probe.family()));
    lift_limit();
    let btf = functions(facts).ok();
    let instructions = Instructions::that_work(facts);
    loop {
        let choice = choose(&plan);
        let mut ebpf = load(&plan, &choice, settings, instructions)?;
        let mut refused = false;
        for row in &mut plan.rows {
            let Some(number) = choice[row.probe.index()] else { continue };
            let candidate = &mut row.candidates[number];
            let name = row.probe.name();
            if let Err(reason) = attach_candidate(&mut ebpf, btf.as_ref(), name, candidate) {
                log::debug!("{} on {}: {reason}", row.probe.name(), candidate.targets.join(", "));
                candidate.rejected = Some(reason);
                refused = true;
            }
        }
        if !refused {
            attach_later(&mut ebpf, &settings.later)?;
            let report = Report::new(plan, choice);
            return Ok(Attached { ebpf, report, choice, missed: [0; PROBES] });
        }
    }
}

/// Kernels before 5.11 account maps to the limit on locked memory. Without the right to raise it they say so.
pub(super) fn lift_limit() {
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Memlock,
        rustix::process::Rlimit { current: None, maximum: None },
    );
}

/// The best candidate of each probe that nothing speaks against.
fn choose(plan: &Plan) -> Choice {
    let mut choice = [None; PROBES];
    for row in &plan.rows {
        choice[row.probe.index()] =
            row.candidates.iter().position(|candidate| candidate.rejected.is_none());
    }
    choice
}

fn load(
    plan: &Plan,
    choice: &Choice,
    settings: &Settings,
    instructions: Instructions,
) -> Result<Ebpf, ProbeError> {
    let mut config = Config {
        stream: settings.stream.iter().fold(0, |set, probe| set | probe.bit()),
        filter: u8::from(!settings.targets.is_empty() || settings.later.is_some()),
        statistics: u8::from(settings.statistics),
        stacks: u8::from(settings.stacks),
        page_head: plan.page_head.unwrap_or(probe_common::config::NONE8),
        target: settings.only_target().unwrap_or(0),
        hurry: settings.ring_bytes / HURRY,
        name: settings.later.name.map_or([0; 2], words),
        offsets: plan.offsets,
        ..Config::NONE
    };
    for row in &plan.rows {
        if let Some(number) = choice[row.probe.index()] {
            config.arguments[row.probe.index()] = row.candidates[number].arguments;
        }
    }
    let sizes = Sizes {
        ring: settings.ring_bytes,
        targets: if settings.later.is_some() {
            MOST_TARGETS
        } else {
            targets_size(&settings.targets)
        },
        slots: SLOTS,
        operations: 16384,
        processes: if settings.statistics && settings.only_target().is_none() { 16384 } else { 1 },
        ..Sizes::SMALLEST
    };
    let mut ebpf = object::load(&config, &Sites::NONE, sizes, settings.log_level, instructions)?;
    fill_targets(&mut ebpf, &settings.targets)?;
    Ok(ebpf)
}

/// The size of the map of thread groups.
pub(super) fn targets_size(targets: &[u32]) -> u32 {
    u32::try_from(targets.len()).unwrap_or(u32::MAX).max(1)
}

/// Tells the programs which thread groups are wanted.
pub(super) fn fill_targets(ebpf: &mut Ebpf, wanted: &[u32]) -> Result<(), ProbeError> {
    let map_error = |action| move |error| ProbeError::Map { action, map: "TARGETS", error };
    if let Some(map) = ebpf.map_mut("TARGETS") {
        let mut targets = HashMap::<_, u32, u8>::try_from(map).map_err(map_error("open"))?;
        for target in wanted {
            targets.insert(target, 1, 0).map_err(map_error("fill"))?;
        }
    }
    Ok(())
}

/// A name as the programs compare it.
fn words(name: [u8; COMM_LEN]) -> [u64; 2] {
    let (first, last) = name.split_at(8);
    [first, last].map(|half| half.try_into().map_or(0, u64::from_ne_bytes))
}

/// Lets processes be found that come later.
fn attach_later(ebpf: &mut Ebpf, later: &Later) -> Result<(), ProbeError> {
    let wanted = [
        (later.children, "follow_fork", "sched_process_fork"),
        (later.name.is_some(), "follow_exec", "sched_process_exec"),
    ];
    for (_, name, at) in wanted.into_iter().filter(|(is_wanted, ..)| *is_wanted) {
        let tracepoint: &mut RawTracePoint = program(ebpf, name).map_err(ProbeError::Follow)?;
        loaded(tracepoint.load())
            .and_then(|()| attached(tracepoint.attach(at)))
            .map_err(ProbeError::Follow)?;
    }
    Ok(())
}

/// Loads and attaches the programs whose names begin with `name`.
pub(super) fn attach_candidate(
    ebpf: &mut Ebpf,
    btf: Option<&Btf>,
    name: &str,
    candidate: &Candidate,
) -> Result<(), Reason> {
    let function = candidate.targets[0];
    match candidate.mechanism {
        // The exit first: an operation whose entry is seen is then always seen to its end.
        Mechanism::Fentry => {
            let btf = btf.ok_or_else(|| Reason::NoBtf { error: "unreadable".to_owned() })?;
            let exit: &mut FExit = program(ebpf, &format!("{name}_fexit"))?;
            loaded(exit.load(function, btf))?;
            let entry: &mut FEntry = program(ebpf, &format!("{name}_fentry"))?;
            loaded(entry.load(function, btf))?;
            let exit: &mut FExit = program(ebpf, &format!("{name}_fexit"))?;
            attached(exit.attach())?;
            let entry: &mut FEntry = program(ebpf, &format!("{name}_fentry"))?;
            attached(entry.attach())
        }
        Mechanism::Kprobe => {
            for kind in ["kretprobe", "kprobe"] {
                let kprobe: &mut KProbe = program(ebpf, &format!("{name}_{kind}"))?;
                loaded(kprobe.load())?;
                attached(kprobe.attach(function, 0))?;
            }
            Ok(())
        }
        Mechanism::Tracepoint => {
            let tracepoint: &mut RawTracePoint = program(ebpf, &format!("{name}_tracepoint"))?;
            loaded(tracepoint.load())?;
            candidate.targets.iter().try_for_each(|target| attached(tracepoint.attach(target)))
        }
    }
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, Reason>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| Reason::LoadFailed { error: format!("no program {name} in the object") })
}

fn loaded(result: Result<(), ProgramError>) -> Result<(), Reason> {
    result.map_err(|error| Reason::LoadFailed { error: brief_program_error(&error) })
}

fn attached<L>(result: Result<L, ProgramError>) -> Result<(), Reason> {
    match result {
        Ok(_link) => Ok(()),
        Err(error) => Err(Reason::AttachFailed { error: brief_program_error(&error) }),
    }
}

impl Attached {
    /// Calls that the programs of each probe were not shown until now, by probe number.
    pub(super) fn missed(&self) -> [u64; PROBES] {
        let mut missed = self.missed;
        for side in [Side::Entry, Side::Exit] {
            for (probe, name) in self.names(side) {
                missed[probe.index()] += self.ebpf.program(&name).map_or(0, program_misses);
            }
        }
        missed
    }

    /// The programs at the beginning of operations, or at their end.
    fn names(&self, side: Side) -> Vec<(Probe, String)> {
        let chosen = |outcome: &Outcome| {
            let number = self.choice[outcome.probe.index()]?;
            let kind = kind(outcome.candidates[number].mechanism, side)?;
            Some((outcome.probe, format!("{}_{kind}", outcome.probe.name())))
        };
        self.report.probes.iter().filter_map(chosen).collect()
    }

    /// Detaches the programs at the beginning of operations, or the ones at their end.
    pub(super) fn detach(&mut self, side: Side) {
        for (probe, name) in self.names(side) {
            if let Some(program) = self.ebpf.program_mut(&name) {
                self.missed[probe.index()] += program_misses(program);
                unload(program);
            }
        }
    }
}

/// What the name of a program ends with; `None` when there is none.
pub(super) fn kind(mechanism: Mechanism, side: Side) -> Option<&'static str> {
    Some(match (mechanism, side) {
        (Mechanism::Fentry, Side::Entry) => "fentry",
        (Mechanism::Fentry, Side::Exit) => "fexit",
        (Mechanism::Kprobe, Side::Entry) => "kprobe",
        (Mechanism::Kprobe, Side::Exit) => "kretprobe",
        (Mechanism::Tracepoint, Side::Entry) => "tracepoint",
        (Mechanism::Tracepoint, Side::Exit) => return None,
    })
}

pub(super) fn program_misses(program: &Program) -> u64 {
    let fd = match program {
        Program::FEntry(program) => program.fd(),
        Program::FExit(program) => program.fd(),
        Program::KProbe(program) => program.fd(),
        Program::RawTracePoint(program) => program.fd(),
        _ => return 0,
    };
    // A program that is not loaded was shown nothing, and missed nothing.
    fd.map_or(0, |fd| misses(fd.as_fd()))
}

/// Detaches a program. What cannot be unloaded goes when this process ends.
pub(super) fn unload(program: &mut Program) {
    let unloaded = match program {
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        Program::RawTracePoint(program) => program.unload(),
        _ => return,
    };
    if let Err(error) = unloaded {
        log::debug!("a program was not unloaded: {error}");
    }
}

/// The beginning or the end of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Entry,
    Exit,
}
