//! What every record in the ring buffer begins with.

use crate::plain;

/// The length of `task_struct.comm`, NUL included (`include/linux/sched.h`, `TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// The beginning of every record.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Header {
    /// When the operation began, in ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// How long it took, in ns; 0 for a tracepoint, which has no beginning and end.
    pub duration: u64,
    /// Thread group of the thread that did it, in the initial PID namespace.
    pub actor_tgid: u32,
    /// The thread that did it.
    pub actor_tid: u32,
    /// Thread group whose address space it concerns; 0 when the kernel does not tell.
    pub target_tgid: u32,
    /// [`Probe`](crate::probe::Probe) number.
    pub probe: u8,
    /// A set of [`TRACEPOINT`] and [`KERNEL_THREAD`].
    pub flags: u8,
    /// The CPU on which it ended.
    pub cpu: u16,
    /// `comm` of the actor, NUL-padded; the bytes are whatever the process chose.
    pub comm: [u8; COMM_LEN],
}

/// Seen by a tracepoint: no duration, and only the fields that the tracepoint has.
pub const TRACEPOINT: u8 = 1;
/// The actor is a kernel thread (khugepaged, kswapd, kcompactd, ...).
pub const KERNEL_THREAD: u8 = 2;

/// The size of [`Header`] in bytes.
pub const HEADER_SIZE: usize = 48;

plain!(Header: HEADER_SIZE);
