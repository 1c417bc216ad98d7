//! Copies page tables on request of user space, without any lock of the kernel.
//!
//! The tables are read through the direct map. After a copy the entry that points to the table is
//! read again: unchanged means that the copy is one of a table that was in use. What the entries
//! mean is decided in user space.
//!
//! What a loop carries stands in the map value, not on the stack, so that the verifier does not
//! follow every value that it could have.

mod folio;
mod walk;

use aya_ebpf::{
    EbpfContext as _,
    helpers::bpf_get_current_task,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_common::scan::{DONE, Op, Orders, PARTS, Part, RANGES, Range, Scan, Table, UNREADABLE};

use crate::{
    config::Position,
    context::{Context as _, Words},
    kernel::read_at,
};

#[map(name = "SCAN")]
static STATE: Array<Scan> = Array::with_max_entries(1, MMAPABLE);

#[map(name = "RANGES")]
static ASKED: Array<Range> = Array::with_max_entries(RANGES as u32, MMAPABLE);

#[map(name = "PARTS")]
static ANSWER: Array<Part> = Array::with_max_entries(PARTS as u32, MMAPABLE);

#[map(name = "TABLES")]
static TABLES: Array<Table> = Array::with_max_entries(PARTS as u32, MMAPABLE);

#[map(name = "ORDERS")]
static ORDERS: Array<Orders> = Array::with_max_entries(PARTS as u32, MMAPABLE);

/// `BPF_F_MMAPABLE`: user space reads and writes it without a copy.
const MMAPABLE: u32 = 1 << 10;

/// What callbacks of loops return.
const GO_ON: i64 = 0;
const STOP: i64 = 1;

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
        op if op == Op::Walk as u64 => walk::walk(scan, operand),
        op if op == Op::Folios as u64 => folio::orders(operand),
        op if op == Op::Cached as u64 => cached(scan, operand),
        _ => UNREADABLE,
    };
    0
}

#[inline(always)]
fn state<'a>() -> Option<&'a mut Scan> {
    STATE.get_ptr_mut(0).map(|state| unsafe { &mut *state })
}

/// `current->files->fdt->fd[number]`.
#[inline(always)]
fn file(scan: &Scan, number: u64) -> Option<u64> {
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = read_at(task + u64::from(scan.task_struct_files))?;
    let table: u64 = read_at(files + u64::from(scan.files_struct_fdt))?;
    let descriptors: u64 = read_at(table + u64::from(scan.fdtable_fd))?;
    read_at(descriptors + 8 * number)
}

/// The file of `/proc/PID/pagemap` has the address space as its private data (`pagemap_open`,
/// fs/proc/task_mmu.c), and keeps it alive.
#[inline(always)]
fn resolve(scan: &mut Scan, number: u64) -> u32 {
    let mm = file(scan, number)
        .and_then(|file| read_at::<u64>(file + u64::from(scan.file_private_data)))
        .unwrap_or(0);
    scan.pgd = if mm == 0 { 0 } else { read_at(mm + u64::from(scan.mm_struct_pgd)).unwrap_or(0) };
    if scan.pgd == 0 { UNREADABLE } else { DONE }
}

/// A page cache of one page at index 0 has no node: the page stands in `xa_head`
/// (`xa_load`, lib/xarray.c).
#[inline(always)]
fn cached(scan: &mut Scan, number: u64) -> u32 {
    let page = file(scan, number)
        .and_then(|file| read_at::<u64>(file + u64::from(scan.file_mapping)))
        .and_then(|mapping| read_at::<u64>(mapping + u64::from(scan.mapping_pages)));
    match page {
        Some(page) => {
            scan.words[0] = page;
            DONE
        }
        None => UNREADABLE,
    }
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
