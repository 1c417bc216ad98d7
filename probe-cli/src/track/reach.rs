//! Which leaves an operation is about, as far as its event tells.

use std::ops::Range;

use probe_common::probe::Probe;

use crate::{
    change::{Change, Folio, VmaChange},
    event::{Address, Detail, Event, FaultOutcome},
    model::leaf::LeafSize,
    walk::callbacks::changes_leaves,
};

/// What an operation may have changed in an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing that a map shows.
    Nothing,
    /// Leaves, and perhaps VMAs.
    Leaves {
        /// The ranges that the event names; the second one is empty unless something was moved.
        ranges: [Range<u64>; 2],
        /// The list of VMAs may be another one.
        vmas: bool,
    },
    /// The list of VMAs; what they map stays where it is.
    Vmas(Range<u64>),
    /// Nothing that a map shows: its history alone tells of it.
    History(Range<u64>),
    /// Whatever maps a file or shared memory.
    Files,
    /// Anything.
    Everything,
    /// The address space is gone.
    End,
}

const NOWHERE: Range<u64> = 0..0;

impl Reach {
    /// Of an event about this address space.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match &event.detail {
            // A smaller leaf is tried next, by a fault that is told; and the leaves of a folio are gone before it is
            // split, and come back after it: those are operations of their own.
            Detail::Fault { outcome: FaultOutcome::Fallback, .. } | Detail::FolioSplit { .. } => {
                Self::Nothing
            }
            Detail::Fault { address, page_size, .. } => {
                let huge = matches!(
                    event.probe,
                    Probe::ThpFault | Probe::ThpWpFault | Probe::ThpFileFault | Probe::ThpNumaFault
                );
                let size = if huge { LeafSize::PMD } else { LeafSize::BASE };
                leaf(*address, page_size.unwrap_or(size.bytes()))
            }
            Detail::PmdSplit { address, .. } => leaf(*address, LeafSize::PMD.bytes()),
            Detail::Collapse { address: Some(address), .. } => {
                leaf(*address, LeafSize::PMD.bytes())
            }
            // A tracepoint knows the process and not the place.
            Detail::Collapse { address: None, .. } => Self::Everything,
            Detail::CollapseRequest { start, end, .. } => leaves(*start, *end),
            Detail::Walk { start, end, callback, .. } => match callback {
                Some(callback) if changes_leaves(callback) => leaves(*start, *end),
                // A walker that nobody knows.
                None if event.probe == Probe::WalkVma => leaves(*start, *end),
                Some(_) | None => Self::Nothing,
            },
            Detail::Change(change) => of_change(change),
        }
    }
}

fn of_change(change: &Change) -> Reach {
    match change {
        Change::Zap { start, end }
        | Change::Share { start, end }
        | Change::Unshare { start, end }
        | Change::Unuse { start, end, .. }
        | Change::KsmMerge { start, end }
        | Change::PudSplit { start, end }
        | Change::Uffd { start, end, from: None, .. } => leaves(*start, *end),
        // A VMA as a whole can get other permissions, which is no event of its own.
        Change::Protect { start, end, .. } => with_vmas(*start, *end),
        Change::Move { start, end, to } => both(*start, *end, *to),
        Change::Uffd { start, end, from: Some(from), .. } => both(*start, *end, *from),
        Change::Migrate(folio) | Change::Restore(folio) | Change::Reclaim(folio) => of_folio(folio),
        Change::Retract => Reach::Files,
        Change::Exec { errno: 0 } => Reach::Everything,
        // The parent keeps what it had, write-protected.
        Change::Fork { start, end, .. } => Reach::History(pages(start.0, end.0)),
        Change::Exec { .. } => Reach::Nothing,
        Change::Exit => Reach::End,
        Change::Vma { change, start, end, .. } => match change {
            VmaChange::Map | VmaChange::Unmap | VmaChange::Brk | VmaChange::Link => {
                with_vmas(*start, *end)
            }
            VmaChange::Grow | VmaChange::Split | VmaChange::Merge | VmaChange::Resize => {
                Reach::Vmas(pages(start.0, end.0))
            }
        },
    }
}

/// A folio of unknown size is at most as large as a PMD leaf, or it is of hugetlb and larger: then it begins
/// at a multiple of its size.
fn of_folio(folio: &Folio) -> Reach {
    let start = folio.start.0;
    match folio.end {
        Some(end) => leaves(folio.start, end),
        None if start.is_multiple_of(LeafSize::PUD.bytes()) => {
            leaf(folio.start, LeafSize::PUD.bytes())
        }
        None => leaf(folio.start, LeafSize::PMD.bytes()),
    }
}

/// The leaf of this size around an address.
fn leaf(Address(address): Address, size: u64) -> Reach {
    let start = address & !(size - 1);
    leaves(Address(start), Address(start.saturating_add(size)))
}

fn leaves(Address(start): Address, Address(end): Address) -> Reach {
    Reach::Leaves { ranges: [pages(start, end), NOWHERE], vmas: false }
}

fn with_vmas(Address(start): Address, Address(end): Address) -> Reach {
    Reach::Leaves { ranges: [pages(start, end), NOWHERE], vmas: true }
}

fn both(Address(start): Address, Address(end): Address, Address(other): Address) -> Reach {
    let length = end.saturating_sub(start);
    let ranges = [pages(start, end), pages(other, other.saturating_add(length))];
    Reach::Leaves { ranges, vmas: true }
}

/// The whole pages that a range touches.
fn pages(start: u64, end: u64) -> Range<u64> {
    let page = LeafSize::BASE.bytes();
    let end = end.checked_next_multiple_of(page).unwrap_or(u64::MAX - (page - 1));
    start & !(page - 1)..end
}

/// What a scan has to look at again: everything that shares a table of the last level with the range, because
/// a fault can map what is around, and a folio more than was asked for.
#[must_use]
pub fn blocks(range: &Range<u64>) -> Range<u64> {
    let size = LeafSize::PMD.bytes();
    let end = range.end.checked_next_multiple_of(size).unwrap_or(u64::MAX - (size - 1));
    if range.is_empty() { NOWHERE } else { range.start & !(size - 1)..end }
}

#[cfg(test)]
mod tests {
    use super::{Reach, blocks};
    use crate::{
        change::{Change, Folio},
        event::{Actor, Address, Detail, Event, Path},
    };
    use probe_common::probe::Probe;

    fn reach(probe: Probe, detail: Detail) -> Reach {
        let by = Actor { pid: 1, tid: 1, comm: String::new(), kernel: false, cpu: 0 };
        Reach::of(&Event {
            time: 0,
            probe,
            duration: Some(1),
            pid: Some(1),
            by,
            detail,
            stacks: None,
        })
    }

    #[test]
    fn a_walk_counts_when_it_may_change_leaves() {
        let walk = |callback: &str| Detail::Walk {
            start: Address(0x1000),
            end: Address(0x2001),
            path: Path::Generic,
            callback: Some(callback.to_owned()),
            result: 0,
        };
        assert_eq!(reach(Probe::WalkVma, walk("smaps_pte_range")), Reach::Nothing);
        let guard = reach(Probe::WalkVma, walk("guard_install_pte_entry"));
        assert_eq!(guard, Reach::Leaves { ranges: [0x1000..0x3000, 0..0], vmas: false });
    }

    #[test]
    fn folios_of_unknown_size_are_taken_as_large() {
        let folio = |start| {
            let folio = Folio { start: Address(start), end: None, done: true };
            reach(Probe::Migrate, Detail::Change(Change::Migrate(folio)))
        };
        let ranges = |start, end| Reach::Leaves { ranges: [start..end, 0..0], vmas: false };
        assert_eq!(folio(0x20_3000), ranges(0x20_0000, 0x40_0000));
        assert_eq!(folio(0x4000_0000), ranges(0x4000_0000, 0x8000_0000));
    }

    #[test]
    fn blocks_are_whole_tables() {
        assert_eq!(blocks(&(0x1000..0x2000)), 0..0x20_0000);
        assert_eq!(blocks(&(0x20_0000..0x40_0001)), 0x20_0000..0x60_0000);
        assert!(blocks(&(5..5)).is_empty());
    }
}
