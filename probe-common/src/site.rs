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

/// Who walks, and who is walked, in one word that is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PartiesKey(pub u64);

/// Bits of the number of a thread group: `PID_MAX_LIMIT` (`include/linux/threads.h`) is 4 Mi.
const TGID_BITS: u32 = 22;
const TGIDS: u64 = (1 << TGID_BITS) - 1;

impl PartiesKey {
    /// The site's number, the thread group that walks, and the thread group whose address space it is; 0 when the kernel
    /// does not tell.
    #[inline]
    #[must_use]
    pub const fn new(site: u32, actor: u32, target: u32) -> Self {
        let word = (site as u64) << (2 * TGID_BITS) | (actor as u64) << TGID_BITS | target as u64;
        Self(word + 1)
    }

    /// What [`Self::new`] was given.
    #[must_use]
    pub const fn parts(self) -> (u32, u32, u32) {
        let word = self.0.wrapping_sub(1);
        let site = word >> (2 * TGID_BITS);
        (site as u32, (word >> TGID_BITS & TGIDS) as u32, (word & TGIDS) as u32)
    }

    /// The place that it may have, below [`PLACES`].
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a few bits are left")]
    pub const fn place(self) -> u32 {
        // Multiplied by 2^64 divided by the golden ratio, whose first bits differ for neighbours (Knuth, TAOCP 3, 6.4).
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.ilog2())) as u32
    }
}

/// How many pairs can have a place, on each CPU: a power of two.
pub const PLACES: u32 = 256;
const _: () = assert!(PLACES.is_power_of_two());

/// A pair that is found without a search, on one CPU.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct PartiesPlace {
    /// The [`PartiesKey`] that has the place; 0 when none has.
    pub owner: u64,
    /// What it comes to.
    pub stat: PartiesStat,
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
    PartiesKey: 8,
    PartiesStat: 32,
    PartiesPlace: 40,
    Uncounted: 16,
);

#[cfg(test)]
mod tests {
    use super::{PLACES, PartiesKey};

    #[test]
    fn a_pair_is_one_word() {
        let most = (1 << 22) - 1;
        for parts in [(0, 0, 0), (63, most, most), (3, 1, 0), (0, most, 7)] {
            let key = PartiesKey::new(parts.0, parts.1, parts.2);
            assert_eq!(key.parts(), parts);
            assert!(key.0 != 0 && key.place() < PLACES);
        }
    }

    #[test]
    fn neighbours_have_places_of_their_own() {
        let mut taken = [0_u8; PLACES as usize];
        for tgid in 100..132 {
            taken[PartiesKey::new(5, tgid, tgid).place() as usize] += 1;
        }
        assert!(taken.iter().filter(|&&pairs| pairs > 0).count() > 28, "{taken:?}");
    }
}
