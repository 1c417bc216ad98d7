//! What was read of an address space at one moment.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::Address,
    model::{leaf::Run, set::Source, vma::Vma},
};

/// What stood in some ranges of an address space.
// The answer to a `Request` of `wanted.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename = "reading")]
pub struct Reading {
    /// When it began, in ns of `CLOCK_MONOTONIC`. What ended before is in it.
    pub time: u64,
    /// How long it took, in ns.
    pub duration: u64,
    /// The process.
    pub pid: u32,
    /// Its name, escaped.
    pub comm: String,
    /// Why it was read.
    pub why: Why,
    /// How.
    pub source: Source,
    /// The VMAs, in order; absent when the list was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmas: Option<Vec<Vma>>,
    /// What was read, in order: whole VMAs or parts of them.
    pub ranges: Vec<Span>,
    /// What stood there. Where no run is, there is nothing.
    pub runs: Vec<Run>,
    /// Tables that changed while they were read, each time: of them nothing is told, and they are read again.
    pub torn: u64,
}

/// Why something was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is the first time, or another program runs now: what was known before is void.
    Start,
    /// Operations had marked it.
    Marks,
    /// Events were lost, or are not to be had on this kernel.
    Missed,
    /// In turn, to find what no event told of.
    Turn,
}

/// A range of addresses, as traces have it: `["0x1000","0x2000"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span(
    /// First address.
    pub Address,
    /// One past the last address.
    pub Address,
);

impl From<Range<u64>> for Span {
    fn from(range: Range<u64>) -> Self {
        Self(Address(range.start), Address(range.end))
    }
}

impl From<Span> for Range<u64> {
    fn from(Span(start, end): Span) -> Self {
        start.0..end.0
    }
}
