//! Where and when a thread runs.

use std::{io, mem};

use rustix::thread::{CpuSet, sched_setaffinity};

/// Keeps the calling thread on a CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Lets the calling thread run before every one that is not real-time.
#[expect(unsafe_code, reason = "there is no safe interface")]
pub(crate) fn real_time() -> io::Result<()> {
    // SAFETY: all its members are numbers.
    let mut parameters: libc::sched_param = unsafe { mem::zeroed() };
    parameters.sched_priority = 10;
    // SAFETY: 0 is the calling thread, and the parameters live during the call.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
