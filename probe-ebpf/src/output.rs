//! What leaves the kernel: statistics by process, and records.

use core::mem::{self, MaybeUninit};

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_get_current_comm},
    macros::map,
    maps::{PerCpuHashMap, RingBuf},
};
use probe_common::{
    counters::{ProcessKey, ProcessStat},
    probe::Probe,
    record::{COMM_LEN, Header, KERNEL_THREAD},
};

use crate::{
    config::{hurry, keeps_statistics, only_target, streams, wants_stacks},
    context::Context,
    counters::{Fate, add, count_time},
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
    // The statistics of an only target are the counters.
    if keeps_statistics() && only_target() == 0 {
        add_to_process(probe, target_tgid, duration);
    }
    if !streams(probe) {
        count_time(probe, Fate::Counted, duration);
        return;
    }
    let actor = Actor::current();
    let header = || Header {
        time,
        duration,
        actor_tgid: actor.tgid,
        actor_tid: actor.tid,
        target_tgid,
        probe: probe.index() as u8,
        flags: flags | if actor.is_kernel_thread() { KERNEL_THREAD } else { 0 },
        cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        comm: comm(),
    };
    let is_sent = if wants_stacks() {
        stacks::send(&EVENTS, context.raw(), actor, make(header()), wakeup)
    } else if let Some(mut slot) = EVENTS.reserve::<R>(0) {
        slot.write(make(header()));
        slot.submit(wakeup());
        true
    } else {
        false
    };
    count_time(probe, if is_sent { Fate::Emitted } else { Fate::LostRing }, duration);
}

/// Whether the reader is to be woken: it looks on its own from time to time, and only has to hurry when
/// much is waiting. To wake it costs many times what a record does.
#[inline(always)]
fn wakeup() -> u64 {
    let waiting = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    let flag = if waiting < hurry() { BPF_RB_NO_WAKEUP } else { BPF_RB_FORCE_WAKEUP };
    u64::from(flag)
}

#[inline(always)]
fn add_to_process(probe: Probe, target_tgid: u32, duration: u64) {
    let key = ProcessKey { tgid: target_tgid, probe: probe.index() as u32 };
    let stat = match PROCESSES.get_ptr_mut(key) {
        Some(stat) => Some(stat),
        None => {
            let comm = if Actor::current().tgid == target_tgid { comm() } else { [0; COMM_LEN] };
            // Another thread can be quicker (`BPF_NOEXIST`), which is as good.
            let _ = PROCESSES.insert(key, ProcessStat { calls: 0, ns: 0, comm }, 1);
            PROCESSES.get_ptr_mut(key)
        }
    };
    if let Some(stat) = stat {
        let stat = unsafe { &mut *stat };
        add(&mut stat.calls, 1);
        add(&mut stat.ns, duration);
    } else if let Some(left_out) = PROCESSES_LEFT_OUT.get_ptr_mut(0) {
        add(unsafe { &mut *left_out }, 1);
    }
}

/// The name of the current thread; zeroes when there is none.
#[inline(always)]
pub fn comm() -> [u8; COMM_LEN] {
    unsafe { mem::transmute(comm_words()) }
}

/// The same as words, which the compiler copies as such: an array of bytes it copies byte by byte.
#[inline(always)]
pub fn comm_words() -> [u64; COMM_LEN / 8] {
    let mut words = MaybeUninit::<[u64; COMM_LEN / 8]>::uninit();
    // It writes all of them, whatever becomes of it.
    unsafe {
        bpf_get_current_comm(words.as_mut_ptr().cast(), COMM_LEN as u32);
        words.assume_init()
    }
}
