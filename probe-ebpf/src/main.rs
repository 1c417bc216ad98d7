//! walkprobe's eBPF object: one module per family of kernel functions.
//!
//! Each probe has an entry handler that remembers what the operation is about and an exit handler
//! that finishes it; [`attach`] makes the fentry/fexit and the kprobe/kretprobe program of each
//! from the same handler. Positions of arguments and offsets of members come in as read-only
//! globals ([`config`]), never from this source.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod arch;
mod attach;
mod change;
mod collapse;
mod config;
mod context;
mod counters;
mod diagnose;
mod direct;
mod fault;
mod follow;
mod kernel;
mod operation;
mod output;
mod scan;
mod site;
mod sites;
mod slots;
mod slow;
mod split;
mod stacks;
mod target;
mod vma;
mod walk;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses a program in which it could be.
    loop {}
}

/// The kernel lets only GPL-compatible programs read its memory (`bpf_probe_read_kernel`).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
