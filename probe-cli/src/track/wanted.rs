//! What of an address space has to be read again: the marks that events leave.

use std::ops::Range;

use rangemap::RangeSet;

use super::reach::{Reach, blocks};
use crate::event::Event;

/// The marks of one address space.
///
/// Every operation that may have changed leaves marks its range. What is marked is read again at the next tick; so
/// the cost follows the changes, and not the size of the process.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    marks: RangeSet<u64>,
    vmas: bool,
    files: bool,
    everything: bool,
}

/// What to read at a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// All VMAs, and all leaves.
    Everything,
    /// The list of VMAs when that is marked, and some ranges, in order and apart from each other.
    Some {
        /// The list of VMAs.
        vmas: bool,
        /// All VMAs that map files or shared memory.
        files: bool,
        /// The ranges; parts of them may lie in no VMA.
        ranges: Vec<Range<u64>>,
    },
}

impl Wanted {
    /// Marks everything: nothing is known yet, or something was missed.
    pub fn everything(&mut self) {
        self.everything = true;
    }

    /// Whether everything is marked.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Marks the list of VMAs.
    pub fn vmas(&mut self) {
        self.vmas = true;
    }

    /// Marks a range.
    pub fn range(&mut self, range: Range<u64>) {
        if !range.is_empty() {
            self.marks.insert(range);
        }
    }

    /// Marks what an operation may have changed.
    pub fn event(&mut self, event: &Event) {
        match Reach::of(event) {
            Reach::Nothing | Reach::History(_) | Reach::End => {}
            Reach::Vmas(_) => self.vmas = true,
            Reach::Files => self.files = true,
            Reach::Everything => self.everything(),
            Reach::Leaves { ranges, vmas } => {
                self.vmas |= vmas;
                for range in &ranges {
                    self.range(blocks(range));
                }
            }
        }
    }

    /// What is marked, which is marked no longer; `None` for nothing.
    pub fn take(&mut self) -> Option<Request> {
        let Self { marks, vmas, files, everything } = std::mem::take(self);
        if everything {
            return Some(Request::Everything);
        }
        let ranges: Vec<_> = marks.into_iter().collect();
        (vmas || files || !ranges.is_empty()).then_some(Request::Some { vmas, files, ranges })
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, Wanted};
    use crate::{
        change::{Change, VmaChange},
        event::Address,
        track::fixture,
    };

    const M: u64 = 1 << 20;

    #[test]
    fn marks_join_and_are_taken_once() {
        let mut wanted = Wanted::default();
        for start in [0, 4096, 8 * M, 2 * M] {
            let zap = Change::Zap { start: Address(start), end: Address(start + 4096) };
            wanted.event(&fixture::change(1, zap));
        }
        let request =
            Request::Some { vmas: false, files: false, ranges: vec![0..4 * M, 8 * M..10 * M] };
        assert_eq!(wanted.take(), Some(request));
        assert_eq!(wanted.take(), None);
    }

    #[test]
    fn vmas_are_listed_when_they_changed() {
        let mut wanted = Wanted::default();
        let (start, end) = (Address(0), Address(4096));
        let split = Change::Vma { change: VmaChange::Split, start, end, errno: 0 };
        wanted.event(&fixture::change(1, split));
        assert_eq!(wanted.take(), Some(Request::Some { vmas: true, files: false, ranges: vec![] }));
        wanted.event(&fixture::change(1, Change::Exec { errno: 0 }));
        assert!(wanted.is_everything());
        assert_eq!(wanted.take(), Some(Request::Everything));
        assert!(!wanted.is_everything());
    }
}
