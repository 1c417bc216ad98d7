//! Reads page tables on request of user space, without any lock of the kernel.
//!
//! The tables are read through the direct map. A table of the last level is copied whole and looked
//! at in bulk: the AND and the OR of its entries tell at once whether they are alike. After a copy the entry that points to the
//! table is read again: unchanged means that the copy is one of a table that was in use.
//!
//! What a loop carries stands in the map value, not on the stack, so that the verifier does not
//! follow every value that it could have.

mod kinds;
mod run;
mod table;

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_task, bpf_loop},
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_common::scan::{DONE, ENTRIES, Op, RUNS, Scan, UNREADABLE};

use self::{
    kinds::{absent_kind, mapped_kind},
    run::{Piece, add, flush},
    table::read_table,
};
use crate::{
    arch::{P4D_SHIFT, PGD_SHIFT, PMD_SHIFT, PUD_SHIFT, is_huge, is_mapped, is_table},
    config::Position,
    context::{Context as _, Words},
    kernel::read_at,
};

#[map(name = "SCAN")]
static STATE: Array<Scan> = Array::with_max_entries(1, MMAPABLE);

/// `BPF_F_MMAPABLE`: user space reads the answer without a copy.
const MMAPABLE: u32 = 1 << 10;

/// Answers one request.
#[raw_tracepoint]
fn scan(context: RawTracePointContext) -> i32 {
    let words = Words(context.as_ptr());
    let Some(scan) = state() else {
        return 0;
    };
    let operand = words.argument(Position(1));
    scan.status = match words.argument(Position(0)) {
        op if op == Op::Resolve as u64 => resolve(scan, operand),
        op if op == Op::Read as u64 => read_words(scan, operand),
        op if op == Op::Walk as u64 => {
            scan.cursor = words.argument(Position(2));
            scan.end = words.argument(Position(3));
            walk(scan, operand)
        }
        _ => UNREADABLE,
    };
    0
}

#[inline(always)]
fn state<'a>() -> Option<&'a mut Scan> {
    STATE.get_ptr_mut(0).map(|state| unsafe { &mut *state })
}

/// `current->files->fdt->fd[number]->private_data`: the file of `/proc/PID/pagemap` keeps the
/// address space there (`pagemap_open`, fs/proc/task_mmu.c), and keeps it alive.
#[inline(always)]
fn resolve(scan: &mut Scan, number: u64) -> u32 {
    let task = unsafe { bpf_get_current_task() };
    let mm = (|| {
        let files: u64 = read_at(task + u64::from(scan.task_struct_files))?;
        let table: u64 = read_at(files + u64::from(scan.files_struct_fdt))?;
        let descriptors: u64 = read_at(table + u64::from(scan.fdtable_fd))?;
        let file: u64 = read_at(descriptors + 8 * number)?;
        read_at::<u64>(file + u64::from(scan.file_private_data))
    })()
    .unwrap_or(0);
    scan.pgd = if mm == 0 { 0 } else { read_at(mm + u64::from(scan.mm_struct_pgd)).unwrap_or(0) };
    if scan.pgd == 0 { UNREADABLE } else { DONE }
}

#[inline(always)]
fn read_words(scan: &mut Scan, address: u64) -> u32 {
    match read_at(address) {
        Some(words) => {
            scan.words = words;
            DONE
        }
        None => UNREADABLE,
    }
}

#[inline(always)]
fn walk(scan: &mut Scan, most: u64) -> u32 {
    scan.runs = 0;
    scan.tables = 0;
    scan.retried = 0;
    scan.torn = 0;
    scan.status = DONE;
    scan.open.count = 0;
    scan.pud_number = 0;
    scan.attempts = 0;
    unsafe {
        bpf_loop(most as u32, step as *mut c_void, core::ptr::null_mut(), 0);
    }
    let Some(scan) = state() else {
        return UNREADABLE;
    };
    flush(scan);
    scan.status
}

const GO_ON: i64 = 0;
const STOP: i64 = 1;

/// Looks at what stands at the cursor: a hole or a leaf above the last level, or a table of the last one.
fn step(_number: u32, _context: *mut c_void) -> i64 {
    let Some(scan) = state() else {
        return STOP;
    };
    // One table can end in so many runs.
    if scan.cursor >= scan.end || scan.runs as usize >= RUNS - ENTRIES - 1 {
        return STOP;
    }
    if scan.pud_number != (scan.cursor >> PUD_SHIFT) + 1 && !descend(scan) {
        return if scan.status == DONE { GO_ON } else { STOP };
    }
    // The PUD entry still points to the same PMD table.
    if read_at::<u64>(scan.pud_address) != Some(scan.pud_entry) {
        scan.pud_number = 0;
        scan.retried += 1;
        return GO_ON;
    }
    let pmd_table = table_of(scan, scan.pud_entry);
    let pmd_address = pmd_table + 8 * index(scan.cursor, PMD_SHIFT);
    let Some(pmd) = read_at::<u64>(pmd_address) else {
        scan.status = UNREADABLE;
        return STOP;
    };
    if is_table(pmd) {
        read_table(scan, pmd_address, pmd);
    } else {
        upper(scan, pmd, PMD_SHIFT);
    }
    GO_ON
}

/// Finds the PUD entry of the cursor. False when it does not point to a table: then what stands
/// there, or above, is told, and the cursor has moved on.
#[inline(always)]
fn descend(scan: &mut Scan) -> bool {
    let mut table = scan.pgd;
    if scan.levels == 5 {
        match next(scan, table, PGD_SHIFT) {
            Some(below) => table = below,
            None => return false,
        }
    }
    match next(scan, table, P4D_SHIFT) {
        Some(below) => table = below,
        None => return false,
    }
    let address = table + 8 * index(scan.cursor, PUD_SHIFT);
    let Some(entry) = read_at::<u64>(address) else {
        scan.status = UNREADABLE;
        return false;
    };
    if !is_table(entry) {
        upper(scan, entry, PUD_SHIFT);
        return false;
    }
    scan.pud_address = address;
    scan.pud_entry = entry;
    scan.pud_number = (scan.cursor >> PUD_SHIFT) + 1;
    true
}

/// The table below, where there is one; else a hole is told.
#[inline(always)]
fn next(scan: &mut Scan, table: u64, shift: u64) -> Option<u64> {
    let Some(entry) = read_at::<u64>(table + 8 * index(scan.cursor, shift)) else {
        scan.status = UNREADABLE;
        return None;
    };
    if is_table(entry) {
        return Some(table_of(scan, entry));
    }
    hole(scan, shift);
    None
}

#[inline(always)]
fn index(address: u64, shift: u64) -> u64 {
    (address >> shift) & (ENTRIES as u64 - 1)
}

#[inline(always)]
fn table_of(scan: &Scan, entry: u64) -> u64 {
    scan.direct_map + (entry & scan.physical_mask)
}

/// Skips what an entry of this level would cover. Holes are not told: they are what lies between
/// the runs.
#[inline(always)]
fn hole(scan: &mut Scan, shift: u64) {
    let end = ((scan.cursor >> shift) + 1) << shift;
    scan.cursor = if end < scan.end { end } else { scan.end };
}

/// Tells what an entry of the PMD or PUD level holds that is not a table.
#[inline(always)]
fn upper(scan: &mut Scan, entry: u64, shift: u64) {
    if entry == 0 {
        hole(scan, shift);
        return;
    }
    // A leaf is told whole, wherever in it the scan began.
    scan.cursor = (scan.cursor >> shift) << shift;
    let kind = if is_huge(entry) || is_mapped(entry) {
        mapped_kind(scan, entry, scan.huge_zero_frame)
    } else {
        absent_kind(scan, entry)
    };
    add(scan, Piece { shift: shift as u8, kind, count: 1 }, entry);
    scan.cursor += 1 << shift;
}
