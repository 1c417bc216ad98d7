//! Reading kernel memory.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_user};

use crate::{config::Offset, direct};

/// The integer member at `offset` of the structure at `base`; `None` when either is not known. Memory that cannot
/// be read is `None` where a helper reads it, and 0 where a plain load does.
#[inline(always)]
pub fn read<T>(base: u64, offset: Offset) -> Option<T> {
    read_integer(offset.of(base)?)
}

/// The integer at `address`, by a plain load where the kernel has them: the same as [`read`].
#[inline(always)]
pub fn read_integer<T>(address: u64) -> Option<T> {
    direct::integer(address).or_else(|| read_at(address))
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
