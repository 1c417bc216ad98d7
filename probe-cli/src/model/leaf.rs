//! Leaves of page tables, and runs of like ones.

use std::{fmt, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
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

    /// Whether it is at least 2 MiB: what people call a huge page.
    #[must_use]
    pub const fn is_huge(self) -> bool {
        self.shift >= Self::PMD.shift
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

impl JsonSchema for LeafSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LeafSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1_u64 << 12, "maximum": 1_u64 << 40 })
    }
}

/// What an entry holds: the same on the hugetlb and the generic path, and at every level.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LeafKind {
    /// Nothing: no entry, or no table.
    Hole,
    /// Memory.
    Present,
    /// The shared page of zeroes, base or huge, whether it traps or not.
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
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Hole,
        Self::Present,
        Self::Zero,
        Self::ProtNone,
        Self::Swap,
        Self::Migration,
        Self::HwPoison,
        Self::UffdWp,
        Self::UffdPoison,
        Self::Guard,
        Self::DevicePrivate,
        Self::DeviceExclusive,
        Self::Other,
    ];

    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::Present => "present",
            Self::Zero => "zero",
            Self::ProtNone => "prot_none",
            Self::Swap => "swap",
            Self::Migration => "migration",
            Self::HwPoison => "hw_poison",
            Self::UffdWp => "uffd_wp",
            Self::UffdPoison => "uffd_poison",
            Self::Guard => "guard",
            Self::DevicePrivate => "device_private",
            Self::DeviceExclusive => "device_exclusive",
            Self::Other => "other",
        }
    }

    /// Memory is mapped here, whether it traps or not.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        matches!(self, Self::Present | Self::Zero | Self::ProtNone)
    }
}

impl fmt::Display for LeafKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many leaves of a run have a mark set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl Marks {
    /// The marks of both; counts are of leaves of one size.
    #[must_use]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            young: self.young + other.young,
            dirty: self.dirty + other.dirty,
            soft_dirty: self.soft_dirty + other.soft_dirty,
            writable: self.writable + other.writable,
            uffd_wp: self.uffd_wp + other.uffd_wp,
        }
    }

    /// Every count, in the order of the fields.
    pub(crate) const fn counts(self) -> [u64; 5] {
        [self.young, self.dirty, self.soft_dirty, self.writable, self.uffd_wp]
    }

    /// Every count through `change`.
    pub(crate) fn map(self, change: impl Fn(u64) -> u64) -> Self {
        Self {
            young: change(self.young),
            dirty: change(self.dirty),
            soft_dirty: change(self.soft_dirty),
            writable: change(self.writable),
            uffd_wp: change(self.uffd_wp),
        }
    }
}

/// Neighbouring leaves of the same size, kind and folio order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// First address; a multiple of the leaf size.
    #[serde(with = "hexadecimal")]
    #[schemars(with = "crate::event::Address")]
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

impl Run {
    /// How many of its bytes are in a range.
    #[must_use]
    pub fn overlap(&self, range: &Range<u64>) -> u64 {
        self.end().min(range.end).saturating_sub(self.start.max(range.start))
    }

    /// Whether leaves of both can be one run: same size, kind, folio order, and marks known or not.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.size == other.size
            && self.kind == other.kind
            && self.folio_order == other.folio_order
            && self.marks.is_some() == other.marks.is_some()
    }

    /// Adds leaves that are like these ([`is_like`](Self::is_like)) and follow on them.
    pub(crate) fn join(&mut self, next: &Self) {
        self.count += next.count;
        self.marks = self.marks.zip(next.marks).map(|(marks, more)| marks.plus(more));
    }

    /// The leaves that a range touches; a leaf that is touched at all is kept whole. `None` when
    /// there are none.
    ///
    /// Of a part nobody knows how many leaves have a mark, unless all leaves of the run have it, or
    /// none: else the part has no marks.
    #[must_use]
    pub fn clip(self, range: &Range<u64>) -> Option<Self> {
        if self.start >= range.start && self.end() <= range.end {
            return Some(self);
        }
        if self.overlap(range) == 0 {
            return None;
        }
        let first = range.start.saturating_sub(self.start) >> self.size.shift;
        let last = (range.end.min(self.end()) - 1 - self.start) >> self.size.shift;
        let count = last - first + 1;
        let known = |marks: &Marks| {
            count == self.count || marks.counts().iter().all(|&n| n == 0 || n == self.count)
        };
        Some(Self {
            start: self.start + (first << self.size.shift),
            count,
            marks: self.marks.filter(known).map(|marks| marks.map(|n| n.min(count))),
            ..self
        })
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

#[cfg(test)]
mod tests {
    use super::{LeafKind, LeafSize, Marks, Run};

    #[test]
    fn kinds_have_their_names_of_json() {
        for kind in LeafKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }

    #[test]
    fn a_touched_leaf_is_kept_whole() {
        let run = Run {
            start: 2 << 20,
            size: LeafSize::PMD,
            count: 4,
            kind: LeafKind::Present,
            folio_order: Some(9),
            marks: Some(Marks { young: 4, ..Marks::default() }),
        };
        let part = run.clip(&((4 << 20) + 4096..(6 << 20) + 1)).unwrap();
        assert_eq!((part.start, part.count), (4 << 20, 2));
        assert_eq!(part.marks.unwrap().young, 2);
        assert_eq!(run.clip(&(0..u64::MAX)), Some(run));
        assert_eq!(run.clip(&(0..2 << 20)), None);
        assert_eq!(run.clip(&(3 << 20..3 << 20)), None);
    }

    #[test]
    fn marks_of_a_part_are_not_guessed() {
        let marks = Some(Marks { dirty: 1, ..Marks::default() });
        let run = Run {
            start: 0,
            size: LeafSize::BASE,
            count: 4,
            kind: LeafKind::Present,
            folio_order: None,
            marks,
        };
        assert_eq!(run.clip(&(0..4096)).unwrap().marks, None);
        assert_eq!(run.clip(&(1..16383)).unwrap().marks, marks);
    }
}
