//! Records with the stacks of the thread that did the operation.
//!
//! They stand in the record's own place in the ring buffer. A table of stacks by number
//! (`BPF_MAP_TYPE_STACK_TRACE`) would lose those whose hashes collide, and a number may stand for another
//! stack by the time it is read.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_get_stack, maps::RingBuf};
use probe_common::stacks::{KERNEL_FRAMES, Stacks, USER_FRAMES, WithStacks};

use crate::{
    config::offset,
    kernel::read,
    operation::{begin_stack, end_stack},
    target::Actor,
};

/// `BPF_F_USER_STACK` (`include/uapi/linux/bpf.h`).
const USER: u64 = 1 << 8;

/// Sends a record with the stacks of the current thread; false when the ring buffer has no room.
#[inline(always)]
pub fn send<R: 'static>(
    ring: &RingBuf,
    context: *mut c_void,
    actor: Actor,
    record: R,
    wakeup: impl FnOnce() -> u64,
) -> bool {
    let Some(mut slot) = ring.reserve::<WithStacks<R>>(0) else {
        return false;
    };
    let sent = slot.as_mut_ptr();
    unsafe {
        (&raw mut (*sent).record).write(record);
        take(context, actor, &raw mut (*sent).stacks);
    }
    slot.submit(wakeup());
    true
}

/// Fills in all of it: the helper puts zeroes behind the frames, and everywhere when it fails
/// (`__bpf_get_stack`, kernel/bpf/stackmap.c).
#[inline(always)]
unsafe fn take(context: *mut c_void, actor: Actor, stacks: *mut Stacks) {
    let mm = actor.mm();
    unsafe {
        (*stacks).program_code = read(mm, offset!(mm_struct_start_code)).unwrap_or(0);
        (*stacks).program_stack = read(mm, offset!(mm_struct_start_stack)).unwrap_or(0);
        let kernel = (&raw mut (*stacks).kernel).cast();
        let size = 8 * KERNEL_FRAMES as u32;
        (*stacks).kernel_bytes = bpf_get_stack(context, kernel, size, 0) as i32;
        let user = (&raw mut (*stacks).user).cast();
        let size = 8 * USER_FRAMES as u32;
        let marked = begin_stack(actor);
        (*stacks).user_bytes = bpf_get_stack(context, user, size, USER) as i32;
        if marked {
            end_stack(actor);
        }
    }
}
