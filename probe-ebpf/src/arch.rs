//! What depends on the architecture. x86-64.

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

/// `_PAGE_PRESENT` and `_PAGE_PSE` (`arch/x86/include/asm/pgtable_types.h`).
const PRESENT: u64 = 1;
const PSE: u64 = 1 << 7;

/// Whether a PMD entry is a leaf: huge, or non-present but not empty (a migration entry or
/// another swap-like value). A PMD entry that points to a table is always present and not huge.
#[inline(always)]
pub fn pmd_is_leaf(entry: u64) -> bool {
    entry & PSE != 0 || (entry != 0 && entry & PRESENT == 0)
}
