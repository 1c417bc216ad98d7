//! Makes a function slower on purpose, so that a test sees whether it is noticed.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, bpf_loop},
    macros::{fentry, map},
    maps::Array,
    programs::FEntryContext,
};

/// By how much, in ns.
#[map]
static SLOW_NS: Array<u64> = Array::with_max_entries(1, 0);

/// Looks at the clock so often at the most.
const LOOKS: u32 = 1 << 20;

#[fentry]
fn slow_fentry(_context: FEntryContext) -> i32 {
    let Some(ns) = SLOW_NS.get(0) else {
        return 0;
    };
    let mut end = unsafe { bpf_ktime_get_ns() } + *ns;
    unsafe {
        bpf_loop(LOOKS, look as *mut c_void, (&raw mut end).cast(), 0);
    }
    0
}

/// Whether the time is over.
fn look(_number: u32, end: *mut c_void) -> i64 {
    i64::from(unsafe { bpf_ktime_get_ns() >= *end.cast::<u64>() })
}
