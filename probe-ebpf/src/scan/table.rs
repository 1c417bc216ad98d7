//! Tables of the last level: copied whole, and looked at in bulk.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_loop, bpf_probe_read_kernel_buf};
use probe_common::scan::{ENTRIES, MARKS, Scan, UNREADABLE, kind};

use super::{
    GO_ON, STOP,
    kinds::{absent_kind, mapped_kind},
    run::{Piece, add, add_marked, extend},
    state, table_of,
};
use crate::{
    arch::{
        self, PMD_SHIFT, PTE_SHIFT,
        bits::{self, CLASS},
        is_mapped, is_table,
    },
    kernel::read_at,
};

/// A table that changes while it is copied is copied again so many times.
const RETRIES: u32 = 4;

/// Entries that are compared at a time when a table is not uniform.
const GROUP: usize = 32;

/// Copies a table of the last level and tells what it holds, from the cursor on.
#[inline(always)]
pub fn read_table(scan: &mut Scan, pmd_address: u64, pmd: u64) {
    let table = table_of(scan, pmd);
    if !copy(scan, table) {
        scan.status = UNREADABLE;
        scan.cursor = scan.end;
        return;
    }
    // Marks of the entry itself may change; where it points to may not.
    let same = read_at::<u64>(pmd_address).is_some_and(|again| {
        again & scan.physical_mask == pmd & scan.physical_mask && is_table(again)
    });
    if !same && scan.attempts < RETRIES {
        // Another table, a leaf or nothing: look again, from the top.
        scan.attempts += 1;
        scan.retried += 1;
        scan.pud_number = 0;
        return;
    }
    if !same {
        scan.torn += 1;
    }
    scan.attempts = 0;
    scan.tables += 1;
    scan.table_address = (scan.cursor >> PMD_SHIFT) << PMD_SHIFT;
    let whole = scan.cursor == scan.table_address && scan.end - scan.cursor >= 1 << PMD_SHIFT;
    scan_table_summary();
    let Some(scan) = state() else {
        return;
    };
    let (all, any) = (scan.all, scan.any);
    if whole && let Some(piece) = uniform(scan, all, any, ENTRIES as u64) {
        add_marked(scan, piece, all, any);
        scan.cursor += 1 << PMD_SHIFT;
        return;
    }
    unsafe {
        bpf_loop((ENTRIES / GROUP) as u32, group as *mut c_void, core::ptr::null_mut(), 0);
    }
}

#[inline(always)]
fn copy(scan: &mut Scan, table: u64) -> bool {
    let bytes = unsafe {
        core::slice::from_raw_parts_mut(scan.table.as_mut_ptr().cast::<u8>(), 8 * ENTRIES)
    };
    unsafe { bpf_probe_read_kernel_buf(table as *const u8, bytes) }.is_ok()
}

/// Puts the AND and the OR of all entries of the table into the state.
///
/// A global function, like [`scan_group_summary`]: the verifier checks it once, and not again in every
/// state in which it can be called.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scan_table_summary() -> u32 {
    let Some(scan) = state() else {
        return 0;
    };
    let mut all = u64::MAX;
    let mut any = 0;
    let mut i = 0;
    while i < ENTRIES {
        let entry = scan.table[i];
        all &= entry;
        any |= entry;
        i += 1;
    }
    scan.all = all;
    scan.any = any;
    1
}

/// Puts the AND and the OR of the entries of a group into the state, which of them are not empty,
/// and the AND of those.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scan_group_summary(first: u32) -> u32 {
    let Some(scan) = state() else {
        return 0;
    };
    let first = first as usize;
    let (mut all, mut any, mut occupied, mut all_occupied) = (u64::MAX, 0, 0_u64, u64::MAX);
    let mut i = 0;
    while i < GROUP {
        let entry = scan.table[(first + i) & (ENTRIES - 1)];
        // 1 when it is not empty; without a branch, so that the verifier has one way to follow.
        let one = (entry | entry.wrapping_neg()) >> 63;
        all &= entry;
        any |= entry;
        all_occupied &= entry | one.wrapping_sub(1);
        occupied |= one << i;
        i += 1;
    }
    scan.all = all;
    scan.any = any;
    scan.all_occupied = all_occupied;
    scan.occupied = occupied;
    1
}

/// What entries with this AND and OR hold, when all hold the same.
#[inline(always)]
fn uniform(scan: &Scan, all: u64, any: u64, count: u64) -> Option<Piece> {
    let piece = |kind| Some(Piece { shift: PTE_SHIFT as u8, kind, count });
    if any == 0 {
        return piece(kind::HOLE);
    }
    if all & CLASS != any & CLASS || !is_mapped(all) {
        return None;
    }
    if all & bits::SPECIAL == 0 {
        return piece(if arch::traps(all) { kind::PROT_NONE } else { kind::PRESENT });
    }
    // A page of zeroes or a raw frame: the address tells, when all have the same.
    if all & scan.physical_mask == any & scan.physical_mask {
        return piece(mapped_kind(scan, all, scan.zero_frame));
    }
    None
}

/// Looks at a group of entries.
fn group(number: u32, _context: *mut c_void) -> i64 {
    let Some(scan) = state() else {
        return STOP;
    };
    let first = (number as usize * GROUP) & (ENTRIES - 1);
    let start = scan.table_address + ((first as u64) << PTE_SHIFT);
    let end = start + ((GROUP as u64) << PTE_SHIFT);
    if end <= scan.cursor {
        return GO_ON;
    }
    if start >= scan.end {
        return STOP;
    }
    if start == scan.cursor && end <= scan.end {
        scan_group_summary(first as u32);
        let (all, any) = (scan.all, scan.any);
        if let Some(piece) = uniform(scan, all, any, GROUP as u64) {
            add_marked(scan, piece, all, any);
            scan.cursor = end;
            return GO_ON;
        }
        if scan.wants & MARKS == 0 && memory_and_holes(scan, start) {
            scan.cursor = end;
            return GO_ON;
        }
    }
    scan.group = first as u32;
    unsafe {
        bpf_loop(GROUP as u32, single as *mut c_void, core::ptr::null_mut(), 0);
    }
    GO_ON
}

/// The commonest mixture: memory with holes in between. False, and nothing told, when there is
/// something else.
#[inline(always)]
fn memory_and_holes(scan: &mut Scan, start: u64) -> bool {
    let (all, any) = (scan.all_occupied, scan.any);
    if all & CLASS != any & CLASS || !is_mapped(all) || all & bits::SPECIAL != 0 {
        return false;
    }
    let kind = if arch::traps(all) { kind::PROT_NONE } else { kind::PRESENT };
    scan.cursor = start;
    scan.occupied_kind = kind;
    unsafe {
        bpf_loop((GROUP / 2) as u32, memory as *mut c_void, core::ptr::null_mut(), 0);
    }
    true
}

/// Takes the lowest entries that are not empty.
fn memory(_number: u32, _context: *mut c_void) -> i64 {
    let Some(scan) = state() else {
        return STOP;
    };
    let occupied = scan.occupied;
    if occupied == 0 {
        return STOP;
    }
    let holes = trailing_zeros(occupied);
    let occupied = occupied >> (holes & 63);
    let count = trailing_zeros(!occupied);
    scan.occupied = occupied >> (count & 63);
    scan.cursor += holes << PTE_SHIFT;
    let kind = scan.occupied_kind;
    extend(scan, Piece { shift: PTE_SHIFT as u8, kind, count });
    scan.cursor += count << PTE_SHIFT;
    GO_ON
}

/// eBPF has no instruction for it: the lowest bit alone, times a de Bruijn number, has the
/// place in its upper bits.
#[inline(always)]
fn trailing_zeros(word: u64) -> u64 {
    let lowest = word & word.wrapping_neg();
    let place = (lowest.wrapping_mul(0x0218_a392_cd3d_5dbf) >> 58) as usize & 63;
    u64::from(PLACES[place])
}

static PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut bit = 0;
    while bit < 64 {
        let place = ((1_u64 << bit).wrapping_mul(0x0218_a392_cd3d_5dbf) >> 58) as usize;
        places[place] = bit as u8;
        bit += 1;
    }
    places
};

/// Looks at one entry.
fn single(number: u32, _context: *mut c_void) -> i64 {
    let Some(scan) = state() else {
        return STOP;
    };
    let at = (scan.group + number) as usize & (ENTRIES - 1);
    let address = scan.table_address + ((at as u64) << PTE_SHIFT);
    if address < scan.cursor {
        return GO_ON;
    }
    if address >= scan.end {
        return STOP;
    }
    let entry = scan.table[at];
    let kind = if entry == 0 {
        kind::HOLE
    } else if is_mapped(entry) {
        mapped_kind(scan, entry, scan.zero_frame)
    } else {
        absent_kind(scan, entry)
    };
    add(scan, Piece { shift: PTE_SHIFT as u8, kind, count: 1 }, entry);
    scan.cursor = address + (1 << PTE_SHIFT);
    GO_ON
}
