//! The walk: from the top-level table down, over the ranges asked for.

use core::{arch::asm, ffi::c_void};

use aya_ebpf::helpers::{bpf_loop, bpf_probe_read_kernel_buf};
use probe_common::{
    entry::{
        ENTRIES, P4D_SHIFT, PGD_SHIFT, PHYSICAL_MASK, PMD_SHIFT, PTE_SHIFT, PUD_SHIFT, index,
        is_table,
    },
    scan::{DONE, PARTS, Part, Scan},
};

use super::{ANSWER, ASKED, GO_ON, STOP, TABLES, state};
use crate::kernel::read_at;

/// A table that changes while it is copied is copied again so many times.
const RETRIES: u32 = 4;

/// What an index into a table takes of an address, in bits.
const LEVEL: u32 = PGD_SHIFT - P4D_SHIFT;

/// Copies tables until the answer is full, the ranges are done, or so many steps were made.
#[inline(always)]
pub fn walk(scan: &mut Scan, steps: u64) -> u32 {
    scan.parts = 0;
    scan.tables = 0;
    scan.retried = 0;
    scan.torn = 0;
    scan.open_count = 0;
    unsafe {
        bpf_loop(steps as u32, step as *mut c_void, core::ptr::null_mut(), 0);
    }
    scan_close();
    DONE
}

/// Looks at the next entry of the open part of a PMD table; where none is open, at what covers the
/// cursor above.
fn step(_number: u32, _context: *mut c_void) -> i64 {
    let Some(scan) = state() else {
        return STOP;
    };
    if scan.open_next < scan.open_count {
        return entry(scan);
    }
    if scan.open_count != 0 {
        scan_close();
        return GO_ON;
    }
    if scan.cursor >= scan.end {
        let next = if scan.range < scan.ranges { ASKED.get(scan.range) } else { None };
        let Some(range) = next else {
            return STOP;
        };
        scan.cursor = range.start;
        scan.end = range.end;
        scan.range += 1;
        return GO_ON;
    }
    // The part of a PMD table, and at least one of its tables.
    if scan.parts as usize + 2 > PARTS {
        return STOP;
    }
    scan_open();
    GO_ON
}

/// Looks at an entry of the open part of a PMD table, and copies what is asked for of the table that
/// it points to.
#[inline(always)]
fn entry(scan: &mut Scan) -> i64 {
    let next = scan.open_next;
    let Some(upper) = TABLES.get_ptr_mut(scan.open_part) else {
        return STOP;
    };
    let at = next as usize & (ENTRIES - 1);
    let pmd = unsafe { (*upper)[at] };
    let start = (scan.open_cursor >> PMD_SHIFT << PMD_SHIFT) + (u64::from(next) << PMD_SHIFT);
    let end = start + (1 << PMD_SHIFT);
    if !is_table(pmd) {
        scan.open_next = next + 1;
        scan.cursor = end;
        return GO_ON;
    }
    if scan.parts as usize >= PARTS {
        return STOP;
    }
    let first = if scan.cursor > start { scan.cursor } else { start };
    let last = if scan.end < end { scan.end } else { end };
    let count = (last - first) >> PTE_SHIFT;
    let pmd_at = scan.open_table + 8 * u64::from(next);
    let source = scan.direct_map + (pmd & PHYSICAL_MASK) + 8 * index(first, PTE_SHIFT);
    let copied = copy(scan.parts, source, count);
    // Marks of the entry itself may change; where it points to may not.
    let again = read_at::<u64>(pmd_at).unwrap_or(0);
    let same = copied && is_table(again) && (again ^ pmd) & PHYSICAL_MASK == 0;
    if !same && scan.attempts < RETRIES {
        // Another table, a leaf or nothing: look again.
        unsafe { (*upper)[at] = again };
        scan.attempts += 1;
        scan.retried += 1;
        return GO_ON;
    }
    scan.attempts = 0;
    scan.open_next = next + 1;
    scan.cursor = end;
    scan.tables += 1;
    if same {
        add(scan, Part { start: first, count: count as u32, shift: PTE_SHIFT });
    } else {
        scan.torn += 1;
    }
    GO_ON
}

/// Finds what covers the cursor: a part of a PMD table is copied and becomes the open one; a leaf
/// goes into the answer; a hole is passed over.
///
/// A global function, like the others here: the verifier checks it once, and not again in every state
/// in which it can be called.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scan_open() -> u32 {
    let Some(scan) = state() else {
        return 0;
    };
    let cursor = scan.cursor;
    if scan_find(cursor) == 0 {
        again(scan, cursor);
        return 0;
    }
    let (entry, shift) = (scan.found, scan.found_shift);
    if shift != PUD_SHIFT || !is_table(entry) {
        if entry != 0 && shift == PUD_SHIFT {
            // A leaf is told whole, wherever in it the range begins.
            if let Some(table) = TABLES.get_ptr_mut(scan.parts) {
                unsafe { (*table)[0] = entry };
            }
            add(scan, Part { start: cursor >> shift << shift, count: 1, shift });
        }
        let entries = if entry == 0 && shift == PUD_SHIFT { empty(scan.found_at) } else { 1 };
        scan.cursor = ((cursor >> (shift & 63)) + entries) << (shift & 63);
        return 1;
    }
    let first = index(cursor, PMD_SHIFT);
    let asked = ((scan.end - 1) >> PMD_SHIFT) - (cursor >> PMD_SHIFT) + 1;
    let rest = ENTRIES as u64 - first;
    let count = if asked < rest { asked } else { rest };
    let source = scan.direct_map + (entry & PHYSICAL_MASK) + 8 * first;
    if !copy(scan.parts, source, count) {
        again(scan, cursor);
        return 0;
    }
    scan.open_at = scan.found_at;
    scan.open_entry = entry;
    scan.open_table = source;
    scan.open_cursor = cursor;
    scan.open_part = scan.parts;
    scan.open_count = count as u32;
    scan.open_next = 0;
    add(
        scan,
        Part { start: cursor >> PMD_SHIFT << PMD_SHIFT, count: count as u32, shift: PMD_SHIFT },
    );
    1
}

/// How many entries are empty, from one that is, in the eight that it is among: so that address space which is
/// reserved and not used costs few steps.
#[inline(always)]
fn empty(at: u64) -> u64 {
    let first = (at >> 3) & 7;
    let mut count = 1;
    if let Some(words) = read_at::<[u64; 8]>(at & !63) {
        let mut i = 1;
        while i < 8 {
            if i == first + count && words[i as usize] == 0 {
                count += 1;
            }
            i += 1;
        }
    }
    count
}

/// Ends the open part of a PMD table, with as many entries as were looked at. Where the PUD entry no
/// longer points to that table, all that was read below it is forgotten, and read again.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scan_close() -> u32 {
    let Some(scan) = state() else {
        return 0;
    };
    if scan.open_count == 0 {
        return 0;
    }
    scan.open_count = 0;
    let same = scan_find(scan.open_cursor) != 0
        && scan.found_at == scan.open_at
        && is_table(scan.found)
        && (scan.found ^ scan.open_entry) & PHYSICAL_MASK == 0;
    if same {
        scan.attempts_above = 0;
        if let Some(part) = ANSWER.get_ptr_mut(scan.open_part) {
            unsafe { (*part).count = scan.open_next };
        }
        return 1;
    }
    scan.parts = scan.open_part;
    again(scan, scan.open_cursor);
    1
}

/// Goes back to where a PMD table that has changed was begun, or past it when it keeps changing.
#[inline(always)]
fn again(scan: &mut Scan, start: u64) {
    if scan.attempts_above < RETRIES {
        scan.attempts_above += 1;
        scan.retried += 1;
        scan.cursor = start;
    } else {
        scan.attempts_above = 0;
        scan.torn += 1;
        scan.cursor = ((start >> PUD_SHIFT) + 1) << PUD_SHIFT;
    }
}

/// Walks down to the PUD entry of an address, or to the one above where the way ends; 0 when an entry
/// cannot be read, because a table above was freed meanwhile.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scan_find(address: u64) -> u32 {
    let Some(scan) = state() else {
        return 0;
    };
    scan.found_at = scan.pgd;
    let mut shift = if scan.levels == 5 { PGD_SHIFT } else { P4D_SHIFT };
    while shift >= PUD_SHIFT {
        let at = scan.found_at + 8 * index(address, shift);
        let Some(entry) = read_at::<u64>(at) else {
            return 0;
        };
        scan.found = entry;
        scan.found_shift = shift;
        if shift == PUD_SHIFT || !is_table(entry) {
            scan.found_at = at;
            return 1;
        }
        scan.found_at = scan.direct_map + (entry & PHYSICAL_MASK);
        shift -= LEVEL;
    }
    0
}

/// Copies entries into the table of a part.
#[inline(always)]
fn copy(part: u32, source: u64, count: u64) -> bool {
    let Some(table) = TABLES.get_ptr_mut(part) else {
        return false;
    };
    // The compiler knows that there are at most 512, and would leave the comparison out; the
    // verifier does not know it.
    let mut bytes = count << 3;
    unsafe { asm!("{0} = {0}", inout(reg) bytes, options(pure, nomem, nostack)) };
    if bytes > 8 * ENTRIES as u64 {
        return false;
    }
    let bytes = unsafe { core::slice::from_raw_parts_mut(table.cast::<u8>(), bytes as usize) };
    unsafe { bpf_probe_read_kernel_buf(source as *const u8, bytes) }.is_ok()
}

/// Puts a part into the answer; its entries are there already.
#[inline(always)]
fn add(scan: &mut Scan, part: Part) {
    if let Some(slot) = ANSWER.get_ptr_mut(scan.parts) {
        unsafe { *slot = part };
        scan.parts += 1;
    }
}
