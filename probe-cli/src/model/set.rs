//! The translation set: the leaf maps of one address space.

use std::{fmt, ops::Range};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{map::LeafMap, statistics::Statistics, vma::Vma, walk::LeafWalk};

/// The leaf maps of one address space, and where they are from.
///
/// The maps are in the order of their addresses, and do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranslationSet {
    origin: Origin,
    maps: Vec<LeafMap>,
}

/// Whose leaf maps these are, and how they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The process.
    pub pid: u32,
    /// Its name, escaped.
    pub comm: String,
    /// Who read the leaves.
    pub source: Source,
    /// How exact that is, in a few words, such as `exact` or `4K where the huge leaf is unknown`.
    pub precision: String,
    /// Tables read.
    pub tables: u64,
    /// Tables read again because they changed meanwhile.
    pub retried: u64,
    /// Tables that kept changing: what the maps say of them was true in parts at different times.
    pub torn: u64,
}

/// What to read besides leaf sizes and kinds; each costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// How many leaves are young, dirty, soft-dirty, writable, write-protected by userfaultfd.
    pub marks: bool,
    /// The orders of the folios that present leaves map.
    pub folios: bool,
}

/// Who read the leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The eBPF scan, from the page tables themselves.
    #[default]
    PageTables,
    /// The ioctl `PAGEMAP_SCAN`.
    PagemapScan,
    /// `/proc/PID/pagemap`, with smaps.
    Pagemap,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PageTables => "page tables",
            Self::PagemapScan => "PAGEMAP_SCAN",
            Self::Pagemap => "pagemap",
        })
    }
}

/// VMAs that cannot be of one address space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the VMA at {start:#x} starts before the VMA before it ends at {end:#x}")]
pub struct InvalidSet {
    /// Where the VMA starts.
    pub start: u64,
    /// Where the VMA before it ends.
    pub end: u64,
}

impl TranslationSet {
    /// Makes a set of leaf maps in the order of their addresses.
    ///
    /// # Errors
    /// When a VMA starts before the one before it ends.
    pub fn new(origin: Origin, maps: Vec<LeafMap>) -> Result<Self, InvalidSet> {
        let wrong = maps.windows(2).find(|pair| pair[1].vma().start < pair[0].vma().end);
        match wrong {
            Some(pair) => Err(InvalidSet { start: pair[1].vma().start, end: pair[0].vma().end }),
            None => Ok(Self { origin, maps }),
        }
    }

    /// Whose it is, and how it was read.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The leaf maps.
    #[must_use]
    pub fn maps(&self) -> &[LeafMap] {
        &self.maps
    }

    /// The VMAs.
    pub fn vmas(&self) -> impl DoubleEndedIterator<Item = &Vma> + ExactSizeIterator {
        self.maps.iter().map(LeafMap::vma)
    }

    /// Walks over all leaves.
    #[must_use]
    pub fn iter(&self) -> LeafWalk<'_> {
        self.walk(0..u64::MAX)
    }

    /// Walks over the leaves in a range of addresses; see [`LeafWalk`].
    #[must_use]
    pub fn walk(&self, range: Range<u64>) -> LeafWalk<'_> {
        LeafWalk::new(&self.maps, range)
    }

    /// The statistics of all leaves.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.iter().collect()
    }
}

impl<'a> IntoIterator for &'a TranslationSet {
    type Item = super::walk::Batch<'a>;
    type IntoIter = LeafWalk<'a>;

    fn into_iter(self) -> LeafWalk<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidSet, Origin, TranslationSet};
    use crate::model::{fixture::vma, map::LeafMap};

    #[test]
    fn vmas_that_overlap_are_refused() {
        let map = |range| LeafMap::from_runs(vma(range), []).unwrap();
        let set = TranslationSet::new(Origin::default(), vec![map(0..8192), map(4096..12288)]);
        assert_eq!(set.unwrap_err(), InvalidSet { start: 4096, end: 8192 });
        let set = TranslationSet::new(Origin::default(), vec![map(4096..8192), map(0..4096)]);
        assert!(set.is_err());
        let set = TranslationSet::new(Origin::default(), vec![map(0..4096), map(4096..8192)]);
        assert_eq!(set.unwrap().walk(0..u64::MAX).count(), 2);
    }
}
