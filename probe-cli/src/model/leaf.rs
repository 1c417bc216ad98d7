//! Leaves of page tables, and runs of like ones.

use std::{fmt, ops::Range};

use serde::{Deserialize, Serialize};

/// The size of what one leaf maps: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafSize {
    shift: u8,
}

impl LeafSize {
    /// One PTE on x86-64.
    pub const BASE: Self = Self { shift: 12 };
    /// One PMD leaf on x86-64.
    pub const PMD: Self = Self { shift: 21 };
    /// One PUD leaf on x86-64.
    pub const PUD: Self = Self { shift: 30 };

    /// The leaf size of `1 << shift` bytes; `None` where no architecture has it (below 4 KiB or
    /// above 1 TiB).
    #[must_use]
    pub fn from_shift(shift: u8) -> Option<Self> {
        (12..=40).contains(&shift).then_some(Self { shift })
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.shift
    }

    /// The binary logarithm of the size in bytes.
    #[must_use]
    pub const fn shift(self) -> u8 {
        self.shift
    }
}

impl fmt::Display for LeafSize {
    /// `4K`, `64K`, `2M`, `1G`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::units::bytes(self.bytes()))
    }
}

impl Serialize for LeafSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.bytes())
    }
}

impl<'de> Deserialize<'de> for LeafSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = u64::deserialize(deserializer)?;
        bytes
            .is_power_of_two()
            .then(|| Self::from_shift(bytes.trailing_zeros().try_into().ok()?))
            .flatten()
            .ok_or_else(|| serde::de::Error::custom("a leaf size is a power of two in bytes"))
    }
}

/// What an entry holds: the same on the hugetlb and the generic path, and at every level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeafKind {
    /// Nothing: no entry, or no table.
    Hole,
    /// Memory.
    Present,
    /// The shared page of zeroes, base or huge.
    Zero,
    /// Memory that traps on access: PROT_NONE, or a NUMA hint.
    ProtNone,
    /// In swap space.
    Swap,
    /// On its way to another place.
    Migration,
    /// Poisoned by a hardware error.
    HwPoison,
    /// A marker: write-protected by userfaultfd while nothing is there.
    UffdWp,
    /// A marker: poisoned by userfaultfd (UFFDIO_POISON).
    UffdPoison,
    /// A marker: guard region (MADV_GUARD_INSTALL).
    Guard,
    /// Memory of a device, not accessible to the CPU.
    DevicePrivate,
    /// Lent to a device for exclusive access.
    DeviceExclusive,
    /// A non-present value that this version does not know.
    Other,
}

impl LeafKind {
    /// Memory is mapped here, whether it traps or not.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        matches!(self, Self::Present | Self::Zero | Self::ProtNone)
    }
}

/// How many leaves of a run have a mark set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Accessed since the kernel last looked.
    pub young: u64,
    /// Written since the last writeback.
    pub dirty: u64,
    /// Written since `/proc/PID/clear_refs` was last used.
    pub soft_dirty: u64,
    /// Writable.
    pub writable: u64,
    /// Write-protected by userfaultfd.
    pub uffd_wp: u64,
}

/// Neighbouring leaves of the same size, kind and folio order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// First address; a multiple of the leaf size.
    #[serde(with = "hexadecimal")]
    pub start: u64,
    /// What one leaf maps; a hole counts in base pages.
    pub size: LeafSize,
    /// Number of leaves; at least 1.
    pub count: u64,
    /// What they hold.
    pub kind: LeafKind,
    /// Order of the folios that they map, in base pages; absent when nobody asked or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folio_order: Option<u8>,
    /// How many leaves have which mark; absent when nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
}

impl Run {
    /// The length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.count << self.size.shift
    }

    /// One past the last address.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start + self.bytes()
    }

    /// The addresses.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.start..self.end()
    }
}

/// Addresses as [`Address`](crate::event::Address) writes them.
pub(crate) mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::event::Address;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(crate) fn serialize<S: Serializer>(
        address: &u64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Address(*address).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Address::deserialize(deserializer).map(|address| address.0)
    }
}
