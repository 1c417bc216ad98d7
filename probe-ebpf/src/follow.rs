//! Processes that become wanted: children of those that are, and programs with a name.
//!
//! ```c
//! TP_PROTO(struct task_struct *parent, struct task_struct *child)                  // sched_process_fork
//! TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)        // sched_process_exec
//! ```
//!
//! A child has not run yet when the kernel comes to the first, and a program has not when it comes to the second: nothing of
//! them is missed.

use aya_ebpf::{macros::map, maps::PerCpuArray};

use crate::{
    config::{Position, name, offset},
    context::{Context as _, Words},
    counters::add,
    kernel::read,
    output::comm_words,
    target::{Actor, is_wanted, want},
};

/// Processes that found no room among those that are wanted; user space shows the number.
#[map]
static TARGETS_LEFT_OUT: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
pub fn fork(context: Words) {
    let tgid = |task| read::<u32>(task, offset!(task_struct_tgid)).unwrap_or(0);
    let (parent, child) =
        (tgid(context.argument(Position(0))), tgid(context.argument(Position(1))));
    // A thread belongs to its process.
    if child != parent && is_wanted(parent) {
        add_target(child);
    }
}

#[inline(always)]
pub fn exec() {
    if comm_words() == name() {
        add_target(Actor::current().tgid);
    }
}

#[inline(always)]
fn add_target(tgid: u32) {
    if tgid != 0
        && !want(tgid)
        && let Some(left_out) = TARGETS_LEFT_OUT.get_ptr_mut(0)
    {
        add(unsafe { &mut *left_out }, 1);
    }
}
