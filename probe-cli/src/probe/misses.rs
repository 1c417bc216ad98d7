//! Calls that the kernel did not show to a program.
//!
//! A program does not run a second time on a CPU where it has begun (`__bpf_prog_enter_recur`, kernel/bpf/trampoline.c). Where
//! the kernel can be preempted, a thread may be stopped in the program, and another one call the same function there. The kernel
//! counts that (`recursion_misses`, Linux 5.12).
#![expect(unsafe_code, reason = "a command of bpf(2) that aya has no function for")]

use std::{
    mem::MaybeUninit,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya_obj::generated::{bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, bpf_prog_info};

/// The beginning of `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct Attributes {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// How many calls a program has not been shown since it was loaded; 0 where the kernel does not count.
pub(super) fn misses(program: BorrowedFd<'_>) -> u64 {
    // SAFETY: a structure of the kernel's, of numbers and arrays of numbers: all zeroes is none of them.
    let mut info: bpf_prog_info = unsafe { MaybeUninit::zeroed().assume_init() };
    let length = u32::try_from(size_of::<bpf_prog_info>()).unwrap_or(0);
    let mut attributes = Attributes {
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        info_len: length,
        info: (&raw mut info).expose_provenance() as u64,
    };
    // SAFETY: both structures outlive the call, and have the sizes that are said; no pointer in `info` asks for more.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_OBJ_GET_INFO_BY_FD as u32,
            &raw mut attributes,
            size_of::<Attributes>(),
        )
    };
    if answer == 0 { info.recursion_misses } else { 0 }
}
