//! Leaf maps as JSON, one document a line for each process, and back.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::{
    escape::harmless,
    model::{
        leaf::{LeafKind, LeafSize, Run},
        map::{InvalidRuns, LeafMap},
        set::{InvalidSet, Origin, TranslationSet},
        statistics::{LeafTotal, MarkedBytes, Statistics},
        vma::Vma,
    },
};

/// The version of the format. It grows when a reader of the version before would misunderstand a
/// document; new fields alone do not count.
pub const FORMAT: u32 = 1;

/// A set as it is written.
#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    tool: &'static str,
    #[serde(flatten)]
    origin: &'a Origin,
    totals: Totals<'a>,
    vmas: Vec<VmaOut<'a>>,
}

#[derive(Serialize)]
struct VmaOut<'a> {
    #[serde(flatten)]
    vma: &'a Vma,
    runs: Vec<&'a Run>,
}

/// Statistics for readers who do not want to add up.
#[derive(Serialize)]
struct Totals<'a> {
    bytes: u64,
    mapped: u64,
    rss: u64,
    hugetlb: u64,
    runs: u64,
    coverage: Option<f64>,
    leaves: &'a [LeafTotal],
    tlb_entries: Vec<TlbEntries>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folios: Option<Folios>,
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<MarkedBytes>,
}

#[derive(Serialize)]
struct TlbEntries {
    size: LeafSize,
    entries: u64,
}

#[derive(Serialize)]
struct Folios {
    by_order: Vec<FolioTotal>,
    huge_by_ptes: u64,
}

#[derive(Serialize)]
struct FolioTotal {
    order: u8,
    bytes: u64,
}

impl<'a> Totals<'a> {
    fn of(statistics: &'a Statistics) -> Self {
        let by_order = || {
            statistics.folios.iter().map(|(&order, &bytes)| FolioTotal { order, bytes }).collect()
        };
        let folios = (!statistics.folios.is_empty())
            .then(|| Folios { by_order: by_order(), huge_by_ptes: statistics.huge_by_ptes });
        Self {
            bytes: statistics.total,
            mapped: statistics.mapped(),
            rss: statistics.rss,
            hugetlb: statistics.hugetlb,
            runs: statistics.runs,
            coverage: statistics.coverage(),
            leaves: &statistics.leaves,
            tlb_entries: statistics
                .tlb_entries()
                .map(|(size, entries)| TlbEntries { size, entries })
                .collect(),
            folios,
            marks: statistics.marks,
        }
    }
}

/// Writes a set as one line. A reader fills in the holes that are left out.
///
/// # Errors
/// When it cannot be written.
pub fn write(set: &TranslationSet, no_holes: bool, out: &mut impl Write) -> io::Result<()> {
    let statistics = set.statistics();
    let is_wanted = |run: &Run| !(no_holes && run.kind == LeafKind::Hole);
    let vmas = set.maps().iter().map(|map| VmaOut {
        vma: map.vma(),
        runs: map.runs().iter().filter(|run| is_wanted(run)).collect(),
    });
    let document = Document {
        format: FORMAT,
        tool: concat!("walkprobe ", env!("CARGO_PKG_VERSION")),
        origin: set.origin(),
        totals: Totals::of(&statistics),
        vmas: vmas.collect(),
    };
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}

/// Why saved leaf maps cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is nothing in it.
    #[error("there is no leaf map in it; `walkprobe maps PID --json` writes one")]
    Empty,
    /// It is not JSON, or not of this kind.
    #[error("it is no leaf map as `walkprobe maps PID --json` writes it: {0}")]
    Json(#[from] serde_json::Error),
    /// A later tool wrote it.
    #[error("its format is {0}, and this walkprobe knows format {FORMAT}; use a newer walkprobe")]
    Format(u32),
    /// Its runs are impossible.
    #[error("it is damaged: in the VMA at {vma:#x}, {error}")]
    Runs {
        /// Where the VMA starts.
        vma: u64,
        /// What is wrong.
        error: InvalidRuns,
    },
    /// Its VMAs are impossible.
    #[error("it is damaged: {0}")]
    Set(#[from] InvalidSet),
}

/// Only the version: what else there is can be different in another one.
#[derive(Deserialize)]
#[serde(expecting = "a leaf map")]
struct Version {
    format: u32,
}

/// A set as it is read.
#[derive(Deserialize)]
#[serde(expecting = "a leaf map")]
struct Saved {
    #[serde(flatten)]
    origin: Origin,
    vmas: Vec<SavedVma>,
}

#[derive(Deserialize)]
struct SavedVma {
    #[serde(flatten)]
    vma: Vma,
    runs: Vec<Run>,
}

/// Reads what [`write()`] wrote: one set or several. Text in it is made harmless again.
///
/// # Errors
/// When it is no leaf map, or an impossible one: see [`ReadError`].
pub fn read(text: &str) -> Result<Vec<TranslationSet>, ReadError> {
    for version in serde_json::Deserializer::from_str(text).into_iter() {
        let Version { format } = version?;
        if format != FORMAT {
            return Err(ReadError::Format(format));
        }
    }
    let saved = serde_json::Deserializer::from_str(text).into_iter::<Saved>();
    let sets = saved.map(|saved| set(saved?)).collect::<Result<Vec<_>, _>>()?;
    if sets.is_empty() { Err(ReadError::Empty) } else { Ok(sets) }
}

fn set(saved: Saved) -> Result<TranslationSet, ReadError> {
    let mut origin = saved.origin;
    for text in [&mut origin.comm, &mut origin.precision] {
        harmless(text);
    }
    let maps = saved.vmas.into_iter().map(|SavedVma { mut vma, runs }| {
        harmless(&mut vma.name);
        vma.flags.iter_mut().flatten().for_each(harmless);
        let start = vma.start;
        LeafMap::from_runs(vma, runs).map_err(|error| ReadError::Runs { vma: start, error })
    });
    Ok(TranslationSet::new(origin, maps.collect::<Result<_, _>>()?)?)
}
