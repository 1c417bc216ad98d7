//! What an entry holds.

use probe_common::scan::{Scan, kind};

use crate::arch::{self, PTE_SHIFT};

#[inline(always)]
pub fn mapped_kind(scan: &Scan, entry: u64, zero_frame: u64) -> u8 {
    if arch::traps(entry) {
        // The address in such an entry is inverted (L1TF), but zeroes are never mapped like that.
        kind::PROT_NONE
    } else if zero_frame != 0 && (entry & scan.physical_mask) >> PTE_SHIFT == zero_frame {
        kind::ZERO
    } else {
        kind::PRESENT
    }
}

#[inline(always)]
pub fn absent_kind(scan: &Scan, entry: u64) -> u8 {
    let kind = scan.swap_kinds[(arch::swap_type(entry) & 31) as usize];
    if kind == kind::MARKER {
        scan.marker_kinds[(arch::swap_offset(entry) & 7) as usize]
    } else {
        kind
    }
}
