//! Sites: functions of page-table walkers whose calls are counted and timed.

use crate::{
    config::{Arguments, SLOT_PROBE_BITS},
    histogram::BUCKETS,
    plain,
    record::COMM_LEN,
};

/// How many sites there can be; the last one is that of the calibration.
pub const SITES: usize = 64;
const _: () = assert!(SITES == 1 << SLOT_PROBE_BITS);

/// The site that times an empty function, to find out what the programs themselves take.
pub const CALIBRATION: usize = SITES - 1;

/// Where a site's function has what it is about, and what one call covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// `pmd_entry` of `struct mm_walk_ops`: a PMD leaf, or the PTEs of a range in one table.
    Pmd = 0,
    /// `pte_entry` and `install_pte`: one PTE.
    Pte = 1,
    /// `hugetlb_entry`: a hugetlb page, or a part of one.
    Hugetlb = 2,
    /// A range of a walk, of leaves of whatever size.
    Walk = 3,
    /// A range of a VMA.
    Range = 4,
    /// A range of a VMA, as mremap describes it.
    Move = 5,
    /// A whole VMA.
    Whole = 6,
    /// One leaf of a VMA, at an address.
    Leaf = 7,
    /// A VMA in which something is looked for: how much of it is not told.
    Vma = 8,
    /// A number of base pages of an address space.
    Pages = 9,
    /// A number of base pages of the caller's own address space.
    OwnPages = 10,
    /// A range of an address space, of leaves of whatever size.
    Span = 11,
    /// A range of the caller's own address space, of leaves of whatever size.
    OwnSpan = 12,
    /// Nothing: only the calls are timed.
    Nothing = 13,
}

/// Which VMAs a site's function serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Over {
    /// Those of generic mm.
    Generic = 0,
    /// Those of hugetlb.
    Hugetlb = 1,
    /// Both; it is given the VMA, which tells the path.
    Both = 2,
    /// Both; it is not given the VMA, so that the path is not known.
    Untold = 3,
}

/// The place of a row among those of a site, by the level of the leaf: a PTE, or a hugetlb page that is smaller than
/// what a PMD entry maps.
pub const PTE: u32 = 0;
/// A PMD leaf.
pub const PMD: u32 = 1;
/// A PUD leaf.
pub const PUD: u32 = 2;
/// Hugetlb, of a size that is not told.
pub const ANY: u32 = 3;
/// Generic mm, of whatever level, where the site has rows for hugetlb too.
pub const GENERIC: u32 = 4;

/// What the programs are told of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Site {
    /// Where the arguments stand.
    pub arguments: Arguments,
    /// [`Shape`]
    pub shape: u8,
    /// [`Over`]
    pub over: u8,
    /// Its first row in the table of sums.
    pub row: u16,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

impl Site {
    /// Nothing is known.
    pub const NONE: Self = Self {
        arguments: Arguments::NONE,
        shape: Shape::Nothing as u8,
        over: Over::Untold as u8,
        row: 0,
        reserved: 0,
    };
}

/// What the programs are told of all sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Sites {
    /// By number.
    pub sites: [Site; SITES],
}

impl Sites {
    /// Nothing is known.
    pub const NONE: Self = Self { sites: [Site::NONE; SITES] };
}

/// Sums of the calls of a site on one path and level, on one CPU.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sums {
    /// Calls that ended.
    pub calls: u64,
    /// Leaves, and empty entries beside them, that the calls were given; 0 where that is not told.
    pub entries: u64,
    /// Bytes of the ranges that they were given; 0 where that is not told.
    pub bytes: u64,
    /// Time from entry to exit, in ns.
    pub ns: u64,
    /// Calls by duration in ns; see [`crate::histogram`].
    pub durations: [u64; BUCKETS],
}

/// Who walks, and who is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PartiesKey {
    /// The site's number.
    pub site: u32,
    /// The thread group that walks.
    pub actor: u32,
    /// The thread group whose address space it is; 0 when the kernel does not tell.
    pub target: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// What they come to, on one CPU.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct PartiesStat {
    /// Calls.
    pub calls: u64,
    /// Time spent in them, in ns.
    pub ns: u64,
    /// `comm` of the thread that walked first.
    pub comm: [u8; COMM_LEN],
}

/// What could not be counted, on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Uncounted {
    /// Calls whose beginning could not be remembered: they are in no sum.
    pub state: u64,
    /// Calls that are in the sums, and in no pair of who walks whom: there are too many.
    pub parties: u64,
}

plain!(
    Site: 24,
    Sites: 24 * SITES,
    Sums: 32 + 8 * BUCKETS,
    PartiesKey: 16,
    PartiesStat: 32,
    Uncounted: 16,
);
