//! Who called: the stacks of the thread that did an operation, where they are asked for.

use crate::plain;

/// Frames of the user stack that are kept. The kernel itself stops at 127 unless it is told otherwise
/// (`sysctl kernel.perf_event_max_stack`).
pub const USER_FRAMES: usize = 127;
/// Frames of the kernel stack that are kept.
pub const KERNEL_FRAMES: usize = 64;

/// The stacks of the thread that did an operation, as they were at its end; innermost frame first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Stacks {
    /// How many bytes of `user` are frames, or a negative errno.
    pub user_bytes: i32,
    /// How many bytes of `kernel` are frames, or a negative errno.
    pub kernel_bytes: i32,
    /// Where the code of the thread's program begins (`mm_struct.start_code`); 0 when that is not known.
    pub program_code: u64,
    /// Where its stack began (`mm_struct.start_stack`); 0 when that is not known.
    pub program_stack: u64,
    /// Addresses in the kernel.
    pub kernel: [u64; KERNEL_FRAMES],
    /// Addresses in the thread's program.
    pub user: [u64; USER_FRAMES],
}

/// A record, and the stacks behind it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct WithStacks<R> {
    /// The record; its size is a multiple of 8, as that of every record.
    pub record: R,
    /// The stacks.
    pub stacks: Stacks,
}

plain!(Stacks: 24 + 8 * KERNEL_FRAMES + 8 * USER_FRAMES);
