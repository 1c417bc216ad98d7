//! Runs: pieces that are alike are put together, and complete runs are put into the answer.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_loop, macros::map, maps::Array};
use probe_common::scan::{ENTRIES, MARKS, NO_ORDER, RUNS, RunRecord, Scan, kind};

use super::{GO_ON, MMAPABLE, STOP, state};
use crate::arch::{PTE_SHIFT, bits, is_mapped};

#[map(name = "RUNS")]
static ANSWER: Array<RunRecord> = Array::with_max_entries(RUNS as u32, MMAPABLE);

/// Entries that are alike.
#[derive(Clone, Copy)]
pub struct Piece {
    pub shift: u8,
    pub kind: u8,
    pub count: u64,
}

/// Adds entries that are alike; their marks are counted one by one where they differ.
#[inline(always)]
pub fn add_marked(scan: &mut Scan, piece: Piece, all: u64, any: u64) {
    if scan.wants & MARKS == 0 || (all ^ any) & bits::MARKS == 0 {
        add(scan, piece, any);
        return;
    }
    extend(scan, piece);
    let first = ((scan.cursor - scan.table_address) >> PTE_SHIFT) as u32;
    scan.group = first;
    unsafe {
        bpf_loop(piece.count as u32, mark as *mut c_void, core::ptr::null_mut(), 0);
    }
}

/// Counts the marks of one entry, for the open run.
fn mark(number: u32, _context: *mut c_void) -> i64 {
    let Some(scan) = state() else {
        return STOP;
    };
    let entry = scan.table[(scan.group + number) as usize & (ENTRIES - 1)];
    count_marks(scan, entry, 1);
    GO_ON
}

/// Adds entries that are alike to the open run, or begins another one at the cursor.
#[inline(always)]
pub fn add(scan: &mut Scan, piece: Piece, entry: u64) {
    extend(scan, piece);
    if scan.wants & MARKS != 0 && is_mapped(entry) {
        count_marks(scan, entry, piece.count);
    }
}

#[inline(always)]
pub fn extend(scan: &mut Scan, piece: Piece) {
    if piece.kind == kind::HOLE {
        return;
    }
    let open = &scan.open;
    let goes_on = open.count != 0
        && open.kind == piece.kind
        && open.shift == piece.shift
        && open.start + (open.count << (piece.shift & 63)) == scan.cursor;
    if goes_on {
        scan.open.count += piece.count;
        return;
    }
    flush(scan);
    scan.open = RunRecord {
        start: scan.cursor,
        count: piece.count,
        shift: piece.shift,
        kind: piece.kind,
        order: NO_ORDER,
        ..RunRecord::default()
    };
}

#[inline(always)]
fn count_marks(scan: &mut Scan, entry: u64, count: u64) {
    let open = &mut scan.open;
    let set = |bits: u64| if entry & bits != 0 { count } else { 0 };
    open.young += set(bits::YOUNG);
    open.dirty += set(bits::DIRTY | bits::SAVED_DIRTY);
    open.soft_dirty += set(bits::SOFT_DIRTY);
    open.writable += set(bits::WRITABLE);
    open.uffd_wp += set(bits::UFFD_WP);
}

/// Puts the open run into the answer.
#[inline(always)]
pub fn flush(scan: &mut Scan) {
    if scan.open.count == 0 {
        return;
    }
    if let Some(slot) = ANSWER.get_ptr_mut(scan.runs) {
        unsafe { *slot = scan.open };
        scan.runs += 1;
    }
    scan.open.count = 0;
}
