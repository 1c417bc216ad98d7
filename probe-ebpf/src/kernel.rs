//! Reading kernel memory.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_user};

use crate::config::Offset;

/// The member at `offset` of the structure at `base`; `None` when either is not known or the
/// memory cannot be read.
#[inline(always)]
pub fn read<T>(base: u64, offset: Offset) -> Option<T> {
    read_at(offset.of(base)?)
}

/// The value at `address`; `None` when the memory cannot be read.
#[inline(always)]
pub fn read_at<T>(address: u64) -> Option<T> {
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// The value at an address of the current task's; `None` when it cannot be read.
#[inline(always)]
pub fn read_user<T>(address: u64) -> Option<T> {
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}
