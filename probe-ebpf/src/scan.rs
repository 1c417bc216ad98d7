//! Reads page tables on request of user space, without any lock of the kernel.
//!
//! The tables are read through the direct map. A table of the last level is copied whole and looked
//! at in bulk: the AND and the OR of its entries tell at once whether they are alike. After a copy the entry that points to the
//! table is read again: unchanged means that the copy is one of a table that was in use.
//!
//! What a loop carries stands in the map value, not on the stack, so that the verifier does not
//! follow every value that it could have.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_task, bpf_loop, bpf_probe_read_kernel_buf},
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_common::scan::{
    DONE, ENTRIES, MARKS, NO_ORDER, Op, RUNS, RunRecord, Scan, UNREADABLE, kind,
};

use crate::{
    arch::{
        self, P4D_SHIFT, PGD_SHIFT, PMD_SHIFT, PTE_SHIFT, PUD_SHIFT,
        bits::{self, CLASS},
        is_huge, is_mapped, is_table,
    },
    config::Position,
    context::{Context as _, Words},
    kernel::read_at,
};

#[map(name = "SCAN")]
static STATE: Array<Scan> = Array::with_max_entries(1, MMAPABLE);

#[map(name = "RUNS")]
static ANSWER: Array<RunRecord> = Array::with_max_entries(RUNS as u32, MMAPABLE);

/// `BPF_F_MMAPABLE`: user space reads the answer without a copy.
const MMAPABLE: u32 = 1 << 10;

/// A table that changes while it is copied is copied again so many times.
const RETRIES: u32 = 4;

/// Entries that are compared at a time when a table is not uniform.
const GROUP: usize = 32;

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
    scan.mm = mm;
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

#[inline(always)]
fn mapped_kind(scan: &Scan, entry: u64, zero_frame: u64) -> u8 {
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
fn absent_kind(scan: &Scan, entry: u64) -> u8 {
    let kind = scan.swap_kinds[(arch::swap_type(entry) & 31) as usize];
    if kind == kind::MARKER {
        scan.marker_kinds[(arch::swap_offset(entry) & 7) as usize]
    } else {
        kind
    }
}

/// Copies a table of the last level and tells what it holds, from the cursor on.
#[inline(always)]
fn read_table(scan: &mut Scan, pmd_address: u64, pmd: u64) {
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

/// Entries that are alike.
#[derive(Clone, Copy)]
struct Piece {
    shift: u8,
    kind: u8,
    count: u64,
}

/// Adds entries that are alike; their marks are counted one by one where they differ.
#[inline(always)]
fn add_marked(scan: &mut Scan, piece: Piece, all: u64, any: u64) {
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
fn add(scan: &mut Scan, piece: Piece, entry: u64) {
    extend(scan, piece);
    if scan.wants & MARKS != 0 && is_mapped(entry) {
        count_marks(scan, entry, piece.count);
    }
}

#[inline(always)]
fn extend(scan: &mut Scan, piece: Piece) {
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
fn flush(scan: &mut Scan) {
    if scan.open.count == 0 {
        return;
    }
    if let Some(slot) = ANSWER.get_ptr_mut(scan.runs) {
        unsafe { *slot = scan.open };
        scan.runs += 1;
    }
    scan.open.count = 0;
}
