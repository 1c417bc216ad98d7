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

/// Bits of an entry at any level (`arch/x86/include/asm/pgtable_types.h`).
pub mod bits {
    pub const WRITABLE: u64 = 1 << 1;
    pub const YOUNG: u64 = 1 << 5;
    pub const DIRTY: u64 = 1 << 6;
    pub const UFFD_WP: u64 = 1 << 10;
    pub const SOFT_DIRTY: u64 = 1 << 11;
    /// Dirty, kept out of the way of shadow stacks (`_PAGE_SAVED_DIRTY`, Linux 6.6).
    pub const SAVED_DIRTY: u64 = 1 << 58;
    /// `_PAGE_SPECIAL`: a page of zeroes, or a raw page frame.
    pub const SPECIAL: u64 = 1 << 9;
    /// What tells entries apart that hold memory, their address and marks left out.
    pub const CLASS: u64 = super::PRESENT | super::PROT_NONE | SPECIAL;
    pub const MARKS: u64 = WRITABLE | YOUNG | DIRTY | UFFD_WP | SOFT_DIRTY | SAVED_DIRTY;
}

/// `_PAGE_PROTNONE`: in an entry that is not present for the CPU.
const PROT_NONE: u64 = 1 << 8;

/// Bytes that one entry maps, as a binary logarithm, at the last three levels.
pub const PTE_SHIFT: u64 = 12;
pub const PMD_SHIFT: u64 = 21;
pub const PUD_SHIFT: u64 = 30;
pub const P4D_SHIFT: u64 = 39;
pub const PGD_SHIFT: u64 = 48;

/// Whether the kernel says that there is a page: present, or PROT_NONE (`pte_present`).
#[inline(always)]
pub fn is_mapped(entry: u64) -> bool {
    entry & (PRESENT | PROT_NONE) != 0
}

/// Whether an entry above the last level maps memory itself (`pmd_leaf`).
#[inline(always)]
pub fn is_huge(entry: u64) -> bool {
    entry & PSE != 0
}

/// Whether an entry points to a table.
#[inline(always)]
pub fn is_table(entry: u64) -> bool {
    entry & (PRESENT | PSE) == PRESENT
}

/// PROT_NONE or a NUMA hint: there is a page, and every access traps.
#[inline(always)]
pub fn traps(entry: u64) -> bool {
    entry & (PRESENT | PROT_NONE) == PROT_NONE
}

/// The swap type of a non-present entry (`__swp_type`, `arch/x86/include/asm/pgtable_64.h`).
#[inline(always)]
pub fn swap_type(entry: u64) -> u64 {
    entry >> 59
}

/// The swap offset of a non-present entry, which is stored inverted (`__swp_offset`).
#[inline(always)]
pub fn swap_offset(entry: u64) -> u64 {
    (!entry << 5) >> 14
}
