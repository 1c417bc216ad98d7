//! Operations between their beginning and their end.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_common::probe::Probe;

use crate::{
    counters::{Fate, count},
    diagnose,
    slots::{self, Key},
    target::{Actor, is_wanted},
};

/// What the entry handler tells the exit handler.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Operation {
    /// ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    pub target_tgid: u32,
    /// Each family keeps here what it needs at the end.
    pub small: u32,
    pub words: [u64; 3],
}

/// Whose address space an operation is about.
#[derive(Clone, Copy)]
pub enum Of {
    /// `struct mm_struct *`.
    Mm(u64),
    /// The actor's own: the function does not tell.
    Actor,
}

/// Remembers an operation, if anybody asked for it.
#[inline(always)]
pub fn begin(probe: Probe, of: Of, small: u32, words: [u64; 3]) {
    let actor = Actor::current();
    let Some(target_tgid) = wanted_target(probe, actor, of) else {
        return;
    };
    remember(probe, actor, target_tgid, small, words);
}

/// Remembers an operation that [`wanted_target`] found to be wanted.
#[inline(always)]
pub fn remember(probe: Probe, actor: Actor, target_tgid: u32, small: u32, words: [u64; 3]) {
    let time = unsafe { bpf_ktime_get_ns() };
    let operation = Operation { time, target_tgid, small, words };
    if !slots::put(Key::new(actor.tid, probe), operation) {
        count(probe, Fate::LostState);
        diagnose::operations_full(probe, actor.tid);
    }
}

/// The thread group that the operation is about; `None`, and counted, when it is not wanted.
#[inline(always)]
pub fn wanted_target(probe: Probe, actor: Actor, of: Of) -> Option<u32> {
    let target_tgid = match of {
        Of::Mm(mm) => actor.owner_of(mm),
        Of::Actor => actor.tgid,
    };
    if is_wanted(target_tgid) {
        Some(target_tgid)
    } else {
        count(probe, Fate::Filtered);
        None
    }
}

/// Whether this thread is in an operation of another probe that is attached, and that is wanted.
#[inline(always)]
pub fn is_within(probe: Probe, actor: Actor) -> bool {
    slots::has(Key::new(actor.tid, probe))
}

/// Remembers that the user stack of this thread is about to be read; false when there is no room.
///
/// A frame pointer may be any number. What it points to is read without waiting, and what is not there
/// is a fault all the same, which a tracepoint sees.
#[inline(always)]
pub fn begin_stack(actor: Actor) -> bool {
    slots::put(
        Key::of_stack(actor.tid),
        Operation { time: 0, target_tgid: 0, small: 0, words: [0; 3] },
    )
}

/// The user stack is read.
#[inline(always)]
pub fn end_stack(actor: Actor) {
    let _ = slots::take(Key::of_stack(actor.tid));
}

/// Whether the user stack of this thread is being read.
#[inline(always)]
pub fn reads_stack(actor: Actor) -> bool {
    slots::has(Key::of_stack(actor.tid))
}

/// Takes back what [`begin`] remembered for this thread; `None` when the operation was not
/// wanted, or began before the probe was attached.
#[inline(always)]
pub fn end(probe: Probe) -> Option<Operation> {
    slots::take(Key::new(Actor::current().tid, probe))
}
