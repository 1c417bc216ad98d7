//! What leaves the kernel: statistics by process, and records.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::map,
    maps::{PerCpuHashMap, RingBuf},
};
use probe_common::{
    counters::{ProcessKey, ProcessStat},
    probe::Probe,
    record::{COMM_LEN, Header, KERNEL_THREAD},
};

use crate::{
    config::{keeps_statistics, streams, wants_stacks},
    context::Context,
    counters::{Fate, add, count},
    operation::Operation,
    stacks,
    target::Actor,
};

/// User space sets the size before loading.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

#[map]
static PROCESSES: PerCpuHashMap<ProcessKey, ProcessStat> =
    PerCpuHashMap::with_max_entries(16384, 0);

/// Operations that found no room in [`PROCESSES`]; user space shows the number.
#[map]
static PROCESSES_LEFT_OUT: aya_ebpf::maps::PerCpuArray<u64> =
    aya_ebpf::maps::PerCpuArray::with_max_entries(1, 0);

/// Ends a timed operation: adds it to the statistics and sends the record that `make` fills in.
#[inline(always)]
pub fn finish<C: Context, R: 'static>(
    context: C,
    probe: Probe,
    operation: &Operation,
    make: impl FnOnce(Header) -> R,
) {
    let duration = unsafe { bpf_ktime_get_ns() } - operation.time;
    send(context, probe, operation.target_tgid, operation.time, duration, 0, make);
}

/// Adds an operation to the statistics and sends the record that `make` fills in.
#[inline(always)]
pub fn send<C: Context, R: 'static>(
    context: C,
    probe: Probe,
    target_tgid: u32,
    time: u64,
    duration: u64,
    flags: u8,
    make: impl FnOnce(Header) -> R,
) {
    let actor = Actor::current();
    if keeps_statistics() {
        add_to_process(probe, actor, target_tgid, duration);
    }
    if !streams(probe) {
        count(probe, Fate::Counted);
        return;
    }
    let kernel_thread = if actor.is_kernel_thread() { KERNEL_THREAD } else { 0 };
    let record = make(Header {
        time,
        duration,
        actor_tgid: actor.tgid,
        actor_tid: actor.tid,
        target_tgid,
        probe: probe.index() as u8,
        flags: flags | kernel_thread,
        cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        comm: comm(),
    });
    let is_sent = if wants_stacks() {
        stacks::send(&EVENTS, context.raw(), actor, record)
    } else {
        put(record)
    };
    count(probe, if is_sent { Fate::Emitted } else { Fate::LostRing });
}

/// Puts a record into the ring buffer; false when there is no room.
#[inline(always)]
fn put<R: 'static>(record: R) -> bool {
    let Some(mut slot) = EVENTS.reserve::<R>(0) else {
        return false;
    };
    slot.write(record);
    slot.submit(0);
    true
}

#[inline(always)]
fn add_to_process(probe: Probe, actor: Actor, target_tgid: u32, duration: u64) {
    let key = ProcessKey { tgid: target_tgid, probe: probe.index() as u32 };
    if PROCESSES.get_ptr_mut(key).is_none() {
        let comm = if actor.tgid == target_tgid { comm() } else { [0; COMM_LEN] };
        // Another thread can be quicker (`BPF_NOEXIST`), which is as good.
        let _ = PROCESSES.insert(key, ProcessStat { calls: 0, ns: 0, comm }, 1);
    }
    if let Some(stat) = PROCESSES.get_ptr_mut(key) {
        let stat = unsafe { &mut *stat };
        add(&mut stat.calls, 1);
        add(&mut stat.ns, duration);
    } else if let Some(left_out) = PROCESSES_LEFT_OUT.get_ptr_mut(0) {
        add(unsafe { &mut *left_out }, 1);
    }
}

#[inline(always)]
fn comm() -> [u8; COMM_LEN] {
    bpf_get_current_comm().unwrap_or([0; COMM_LEN])
}
