//! What became of the operations that each probe saw.

use core::arch::asm;

use aya_ebpf::{macros::map, maps::PerCpuArray};
use probe_common::{
    counters::Counters,
    probe::{PROBES, Probe},
};

use crate::config::only_target;

#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(PROBES as u32, 0);

/// What became of one operation.
#[derive(Clone, Copy)]
pub enum Fate {
    Filtered,
    Ignored,
    Counted,
    Emitted,
    LostRing,
    LostState,
}

/// Counts one operation as seen, and what became of it.
#[inline(always)]
pub fn count(probe: Probe, fate: Fate) {
    count_time(probe, fate, 0);
}

/// The same, and how long it took where the counters are the statistics of the only target.
#[inline(always)]
pub fn count_time(probe: Probe, fate: Fate, duration: u64) {
    let Some(counters) = COUNTERS.get_ptr_mut(probe.index() as u32) else {
        return;
    };
    let counters = unsafe { &mut *counters };
    add(&mut counters.seen, 1);
    let field = match fate {
        Fate::Filtered => &mut counters.filtered,
        Fate::Ignored => &mut counters.ignored,
        Fate::Counted => &mut counters.counted,
        Fate::Emitted => &mut counters.emitted,
        Fate::LostRing => &mut counters.lost_ring,
        Fate::LostState => &mut counters.lost_state,
    };
    add(field, 1);
    if only_target() != 0 && duration != 0 {
        add(&mut counters.ns, duration);
    }
}

/// Adds to a number in a map value.
///
/// Atomic although the values are per CPU: a program can be preempted by another one on its CPU,
/// and a plain read-modify-write would then lose an addition. In assembler, because `core` has
/// no `fetch_add` for this target.
#[inline(always)]
pub fn add(number: &mut u64, amount: u64) {
    unsafe {
        asm!(
            "lock *(u64 *)({number} + 0) += {amount}",
            number = in(reg) number,
            amount = in(reg) amount,
            options(nostack, preserves_flags),
        );
    }
}
