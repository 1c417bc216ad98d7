//! What of registers and calls depends on the architecture. x86-64; page-table entries are in
//! `probe_common::entry`.

use core::ffi::c_void;

use crate::{config::Position, context::load};

/// The `position`-th argument of a function, at its first instruction: `struct pt_regs`
/// (`arch/x86/include/asm/ptrace.h`) and the System V calling convention.
#[inline(always)]
pub fn argument(registers: *mut c_void, position: Position) -> u64 {
    match position.0 {
        0 => load!(registers, 112), // di
        1 => load!(registers, 104), // si
        2 => load!(registers, 96),  // dx
        3 => load!(registers, 88),  // cx
        4 => load!(registers, 72),  // r8
        5 => load!(registers, 64),  // r9
        _ => 0,
    }
}

/// The return value of a function, at its return.
#[inline(always)]
pub fn result(registers: *mut c_void) -> u64 {
    load!(registers, 80) // ax
}
