//! Makes a function slower on purpose, so that a test sees whether it is noticed.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, bpf_loop},
    macros::{fentry, map},
    maps::Array,
    programs::FEntryContext,
};

/// By how many rounds of a loop that does nothing, and until how many ns are over.
#[map]
static SLOWER: Array<u64> = Array::with_max_entries(2, 0);

/// Looks at the clock so often at the most.
const LOOKS: u32 = 1 << 20;

#[fentry]
fn slow_fentry(_context: FEntryContext) -> i32 {
    if let Some(&rounds) = SLOWER.get(0)
        && rounds > 0
    {
        let mut nothing = 0_u64;
        unsafe {
            bpf_loop(rounds as u32, idle as *mut c_void, (&raw mut nothing).cast(), 0);
        }
    }
    if let Some(&ns) = SLOWER.get(1)
        && ns > 0
    {
        let mut end = unsafe { bpf_ktime_get_ns() } + ns;
        unsafe {
            bpf_loop(LOOKS, look as *mut c_void, (&raw mut end).cast(), 0);
        }
    }
    0
}

fn idle(_number: u32, _nothing: *mut c_void) -> i64 {
    0
}

/// Whether the time is over.
fn look(_number: u32, end: *mut c_void) -> i64 {
    i64::from(unsafe { bpf_ktime_get_ns() >= *end.cast::<u64>() })
}
