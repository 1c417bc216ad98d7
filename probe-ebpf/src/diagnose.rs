//! Messages for `walkprobe -v`, through aya-log.
//!
//! Each is a function of its own, so that the code for formatting is there once and not in every
//! program. The level is a read-only global: switched off, the verifier removes the messages.

use aya_log_ebpf::{debug, warn};
use probe_common::probe::Probe;

/// An operation could not be remembered: too many are under way.
#[inline(never)]
pub fn operations_full(probe: Probe, tid: u32) {
    warn!((), "{}: no room to remember an operation of thread {}", probe as u8, tid);
}

/// The entry handler could not read what a pointer argument points to. The pointer itself cannot be
/// shown: the verifier knows it as one, and forbids to take it to pieces.
#[inline(never)]
pub fn unreadable(probe: Probe) {
    debug!((), "{}: cannot read what an argument points to", probe as u8);
}
