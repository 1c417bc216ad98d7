//! The page-table scan: what user space asks, and what the kernel side answers.
//!
//! A request is a run of the program `scan` by `BPF_PROG_TEST_RUN` with an [`Op`] and its operands as
//! arguments. What the scan needs to know about the kernel, and where it is, stands in the map
//! `SCAN`; the runs that it finds stand in the map `RUNS`.

use crate::plain;

/// What is asked for: the first argument of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Op {
    /// Which address space does a file descriptor of the caller stand for? Argument: the number of
    /// the file descriptor, of `/proc/PID/pagemap`. Answer: [`Scan::pgd`].
    Resolve = 0,
    /// Read 64 bytes of kernel memory. Argument: the address. Answer: [`Scan::words`].
    Read = 1,
    /// Walk the page tables. Arguments: the most entries above the last level, and tables at the last
    /// level, to look at; the first address; one past the last. Answer: the runs, and
    /// [`Scan::cursor`], from where to go on.
    Walk = 2,
}

/// A request was answered.
pub const DONE: u32 = 0;
/// Something could not be read; for [`Op::Walk`]: the page tables are gone.
pub const UNREADABLE: u32 = 1;

/// Ask for the number of leaves with each mark.
pub const MARKS: u32 = 1;

/// Runs that one request can answer with.
pub const RUNS: usize = 8192;
/// Entries of a page table.
pub const ENTRIES: usize = 512;

/// What stands at an offset that this kernel does not have.
pub const NO_OFFSET: u32 = u32::MAX;

/// State of a scan: facts from user space, then progress.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Scan {
    /// Where the direct map of physical memory begins.
    pub direct_map: u64,
    /// Which bits of an entry are the physical address.
    pub physical_mask: u64,
    /// Page frame of the base page of zeroes.
    pub zero_frame: u64,
    /// First page frame of the huge page of zeroes; 0 when there is none.
    pub huge_zero_frame: u64,
    /// 4 or 5.
    pub levels: u32,
    /// 0 or [`MARKS`].
    pub wants: u32,
    /// Bytes from `task_struct` to `files`.
    pub task_struct_files: u32,
    /// Bytes from `files_struct` to `fdt`.
    pub files_struct_fdt: u32,
    /// Bytes from `fdtable` to `fd`.
    pub fdtable_fd: u32,
    /// Bytes from `file` to `private_data`.
    pub file_private_data: u32,
    /// Bytes from `mm_struct` to `pgd`.
    pub mm_struct_pgd: u32,
    /// Keeps what follows aligned to 8.
    pub reserved_offsets: u32,
    /// Kind (see [`kind`]) of a non-present entry by its swap type; [`kind::MARKER`] for the type
    /// of markers.
    pub swap_kinds: [u8; 32],
    /// Kind of a marker by the lowest three bits of its value.
    pub marker_kinds: [u8; 8],

    /// The top-level table of the address space.
    pub pgd: u64,
    /// The next address to look at.
    pub cursor: u64,
    /// One past the last address to look at.
    pub end: u64,
    /// Answer of [`Op::Read`].
    pub words: [u64; 8],
    /// Tables of the last level that were read.
    pub tables: u64,
    /// Tables that were read again, because they changed meanwhile.
    pub retried: u64,
    /// Tables that changed each time that they were read; what was read last is what is told.
    pub torn: u64,
    /// Runs in the answer.
    pub runs: u32,
    /// [`DONE`] or [`UNREADABLE`].
    pub status: u32,

    /// The kernel side's own: the run that is not complete yet.
    pub open: RunRecord,
    /// The kernel side's own: where the PMD table of the current PUD entry is, and that entry.
    pub pud_address: u64,
    /// The kernel side's own.
    pub pud_entry: u64,
    /// The kernel side's own: the last GiB for which the two above hold, plus one.
    pub pud_number: u64,
    /// The kernel side's own: address of the first entry of `table`.
    pub table_address: u64,
    /// The kernel side's own: first entry of the group that is looked at.
    pub group: u32,
    /// The kernel side's own: how often the table at the cursor has changed while it was copied.
    pub attempts: u32,
    /// The kernel side's own: the AND of the entries that are looked at.
    pub all: u64,
    /// The kernel side's own: the OR of them.
    pub any: u64,
    /// The kernel side's own: the AND of those that are not empty.
    pub all_occupied: u64,
    /// The kernel side's own: which entries of the group behind the cursor are not empty.
    pub occupied: u64,
    /// The kernel side's own: what these hold.
    pub occupied_kind: u8,
    /// Keeps the size a multiple of 8.
    pub reserved: [u8; 7],
    /// The kernel side's own: a copy of a table of the last level.
    pub table: [u64; ENTRIES],
}

/// Neighbouring entries of the same size, kind and folio order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RunRecord {
    /// First address.
    pub start: u64,
    /// Number of entries.
    pub count: u64,
    /// How many are young.
    pub young: u64,
    /// How many are dirty.
    pub dirty: u64,
    /// How many are soft-dirty.
    pub soft_dirty: u64,
    /// How many are writable.
    pub writable: u64,
    /// How many are write-protected by userfaultfd.
    pub uffd_wp: u64,
    /// Binary logarithm of the bytes that one entry maps.
    pub shift: u8,
    /// What they hold: see [`kind`].
    pub kind: u8,
    /// Order of the folios; [`NO_ORDER`] when nobody asked or it is not known.
    pub order: u8,
    /// Keeps the size a multiple of 8.
    pub reserved: [u8; 5],
}

/// The folio's order is not known.
pub const NO_ORDER: u8 = u8::MAX;

/// What an entry holds. The numbers are never reused.
#[expect(missing_docs, reason = "walkprobe's model::leaf::LeafKind explains each by this name")]
pub mod kind {
    pub const HOLE: u8 = 0;
    pub const PRESENT: u8 = 1;
    pub const ZERO: u8 = 2;
    pub const PROT_NONE: u8 = 3;
    pub const SWAP: u8 = 4;
    pub const MIGRATION: u8 = 5;
    pub const HW_POISON: u8 = 6;
    pub const UFFD_WP: u8 = 7;
    pub const UFFD_POISON: u8 = 8;
    pub const GUARD: u8 = 9;
    pub const DEVICE_PRIVATE: u8 = 10;
    pub const DEVICE_EXCLUSIVE: u8 = 11;
    pub const OTHER: u8 = 12;
    /// Not an answer: look at the marker's value.
    pub const MARKER: u8 = 255;
}

plain!(RunRecord: 64, Scan: 368 + 8 * ENTRIES);
