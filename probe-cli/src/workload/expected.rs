//! What a step reports that it did.

use std::ops::Range;

use probe_common::probe::Probe;
use serde::Serialize;

use super::memory::Area;
use crate::event::{Address, FaultOutcome, Path, probe_name};

/// A VMA that a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// First address.
    pub start: Address,
    /// One past the last address.
    pub end: Address,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: Address(range.start as u64), end: Address(range.end as u64) }
    }
}

/// Events that a step causes; successful ones, but for `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The probe that sees them.
    #[serde(serialize_with = "probe_name::serialize")]
    pub probe: Probe,
    /// How many there are.
    pub number: u64,
    /// The hugetlb page size in bytes of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u64>,
    /// How many bytes each of these changes covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The path of these walks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// How these faults end, where that is not [`FaultOutcome::Done`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<FaultOutcome>,
}

impl Expected {
    /// `number` events of `probe`.
    #[must_use]
    pub const fn of(probe: Probe, number: usize) -> Self {
        Self {
            probe,
            number: number as u64,
            page_size: None,
            size: None,
            path: None,
            outcome: None,
        }
    }

    /// `number` VMAs entered by the walker, over `path`.
    pub(super) const fn walks(number: usize, path: Path) -> Self {
        Self { path: Some(path), ..Self::of(Probe::WalkVma, number) }
    }

    /// `number` calls of a handler that cannot do it and leaves it to the one for smaller leaves.
    pub(super) const fn fallbacks(probe: Probe, number: usize) -> Self {
        Self { outcome: Some(FaultOutcome::Fallback), ..Self::of(probe, number) }
    }

    /// `number` changes of `size` bytes each.
    pub(super) const fn changes(probe: Probe, number: usize, size: usize) -> Self {
        Self { size: Some(size as u64), ..Self::of(probe, number) }
    }

    /// `number` hugetlb faults of pages of `size` bytes.
    pub(super) const fn hugetlb(number: usize, size: usize) -> Self {
        Self { page_size: Some(size as u64), ..Self::of(Probe::HugetlbFault, number) }
    }
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Where: no other step of the run uses these addresses.
    pub areas: Vec<Span>,
    /// Every event in the areas: a probe that is not here has none. Folio splits have no address;
    /// the step causes these in its process. Of the families change, migrate and vma only the probes
    /// that are here: memory is mapped and freed for each step.
    pub expected: Vec<Expected>,
    /// Collapses that the kernel asked to try again (`EAGAIN`), and that were: each is one more
    /// `collapse_request`, and at most one more `collapse`, that fails.
    #[serde(skip_serializing_if = "is_zero")]
    pub repeated: u64,
    /// Parts that were left out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Done {
    /// Of a part of an area, beside which there is more of it: mapping and freeing the whole area begins
    /// outside.
    pub(super) fn within(part: Range<usize>, expected: impl IntoIterator<Item = Expected>) -> Self {
        Self { areas: vec![part.into()], ..Self::new([], expected) }
    }

    pub(super) fn new<'a>(
        areas: impl IntoIterator<Item = &'a Area>,
        expected: impl IntoIterator<Item = Expected>,
    ) -> Self {
        Self {
            areas: areas.into_iter().map(|area| area.range().into()).collect(),
            expected: expected.into_iter().filter(|expected| expected.number > 0).collect(),
            repeated: 0,
            left_out: Vec::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
