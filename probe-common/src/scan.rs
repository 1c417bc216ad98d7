//! The page-table scan: what user space asks, and what the kernel side answers.
//!
//! A request is a run of the program `scan` by `BPF_PROG_TEST_RUN` with an [`Op`] and its operand as
//! arguments. What the scan needs to know about the kernel, what is asked, and how far it has come stands in
//! the map `SCAN`; the ranges asked for stand in the map `RANGES`. The answer are copies of parts of
//! tables: what each is stands in the map `PARTS`, its entries at the same place in the map `TABLES`, and
//! the folio orders of these, when asked for, in the map `ORDERS`.
//!
//! The kernel side only copies. What the entries mean is decided in user space.

use crate::{entry::ENTRIES, plain};

/// What is asked for: the first argument of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Op {
    /// Which address space does a file descriptor of the caller stand for? Operand: the number of
    /// the file descriptor, of `/proc/PID/pagemap`. Answer: [`Scan::pgd`].
    Resolve = 0,
    /// Read 64 bytes of kernel memory. Operand: the address. Answer: [`Scan::words`].
    Read = 1,
    /// Copy tables, from where the last such request has ended. Operand: the most steps; a step looks
    /// at an entry above the last level, and may copy a table.
    Walk = 2,
    /// Find the folio orders of the entries in the answer, from where the last such request has
    /// ended. Operand: the most steps; a step looks at 32 entries.
    Folios = 3,
    /// Which is the only page in a file's page cache? Operand: the number of a file descriptor of
    /// the caller. Answer: the `struct page *`, or whatever stands there, in [`Scan::words`].
    Cached = 4,
}

/// A request was answered.
pub const DONE: u32 = 0;
/// What was asked for could not be read.
pub const UNREADABLE: u32 = 1;

/// Parts of tables that one answer can have.
pub const PARTS: usize = 128;
/// Ranges that can be asked for at once.
pub const RANGES: usize = 512;

/// What stands at an offset that this kernel does not have.
pub const NO_OFFSET: u32 = u32::MAX;

/// The folio's order is not known.
pub const NO_ORDER: u8 = u8::MAX;

/// State of a scan: facts from user space, the request, then progress.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Scan {
    /// Where the direct map of physical memory begins.
    pub direct_map: u64,
    /// Where the page structs of physical memory begin (`vmemmap`).
    pub vmemmap: u64,
    /// 4 or 5.
    pub levels: u32,
    /// Bytes of a `page`.
    pub page_size: u32,
    /// Bytes from `page` to `flags`; the word that leads to the head of a compound page follows it.
    pub page_flags: u32,
    /// Which bit of `flags` is `PG_head`.
    pub page_head: u32,
    /// Bytes from `folio` to the number of its pages.
    pub folio_pages: u32,
    /// Bytes from `task_struct` to `files`.
    pub task_struct_files: u32,
    /// Bytes from `files_struct` to `fdt`.
    pub files_struct_fdt: u32,
    /// Bytes from `fdtable` to `fd`.
    pub fdtable_fd: u32,
    /// Bytes from `file` to `private_data`.
    pub file_private_data: u32,
    /// Bytes from `file` to `f_mapping`.
    pub file_mapping: u32,
    /// Bytes from `address_space` to the `xa_head` of its `i_pages`.
    pub mapping_pages: u32,
    /// Bytes from `mm_struct` to `pgd`.
    pub mm_struct_pgd: u32,

    /// The top-level table of the address space.
    pub pgd: u64,
    /// How many ranges are asked for.
    pub ranges: u32,
    /// The next range to begin.
    pub range: u32,
    /// The next address to look at, in the range before that.
    pub cursor: u64,
    /// One past the last address of that range.
    pub end: u64,

    /// Answer of [`Op::Read`] and [`Op::Cached`].
    pub words: [u64; 8],
    /// Tables of the last level that were read.
    pub tables: u64,
    /// Tables that were read again, because they changed meanwhile.
    pub retried: u64,
    /// Tables that changed each time that they were read: nothing is told of them.
    pub torn: u64,
    /// Parts in the answer.
    pub parts: u32,
    /// [`DONE`] or [`UNREADABLE`].
    pub status: u32,
    /// The next part whose folios are looked for.
    pub folio_part: u32,
    /// The next entry of it.
    pub folio_entry: u32,

    /// The kernel side's own: where the last look-up ended, the entry there, and its level.
    pub found_at: u64,
    /// The kernel side's own.
    pub found: u64,
    /// The kernel side's own: where the PUD entry of the part of a PMD table that is being read is.
    pub open_at: u64,
    /// The kernel side's own: that entry.
    pub open_entry: u64,
    /// The kernel side's own: where the PMD entries are.
    pub open_table: u64,
    /// The kernel side's own: where the cursor was when they were read.
    pub open_cursor: u64,
    /// The kernel side's own: which part it is.
    pub open_part: u32,
    /// The kernel side's own: how many entries it has; 0 when none is being read.
    pub open_count: u32,
    /// The kernel side's own: the next one to look at.
    pub open_next: u32,
    /// The kernel side's own: how often the table at the cursor has changed while it was copied.
    pub attempts: u32,
    /// The kernel side's own: the same for the part of a PMD table.
    pub attempts_above: u32,
    /// The kernel side's own: the level of `found`.
    pub found_shift: u32,
    /// The kernel side's own: first frame of the folio that was found last.
    pub folio_first: u64,
    /// The kernel side's own: its number of pages.
    pub folio_count: u64,
    /// The kernel side's own: its order.
    pub folio_order: u64,
}

/// A range of addresses to scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Range {
    /// First address; a multiple of the page size.
    pub start: u64,
    /// One past the last.
    pub end: u64,
}

/// Neighbouring entries of one table.
///
/// A part of a PMD table is followed by the parts of the tables that its entries point to, in their
/// order; one that kept changing is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Part {
    /// First address that the first entry covers.
    pub start: u64,
    /// Number of entries.
    pub count: u32,
    /// Binary logarithm of the bytes that one entry covers.
    pub shift: u32,
}

/// The entries of a part; those behind its last one mean nothing.
pub type Table = [u64; ENTRIES];

/// Orders of the folios that the entries of a part map, or [`NO_ORDER`].
pub type Orders = [u8; ENTRIES];

plain!(Scan: 296, Range: 16, Part: 16);
