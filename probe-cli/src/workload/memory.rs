//! Memory of a workload's own, at addresses that nothing else in the process uses.

use std::{io, ops::Range};

use super::{
    error::StepError,
    machine::Machine,
    sys::{self, Advice, Backing, Reservation},
};

/// What maps an area once it is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Base pages: no THP, whatever the system's setting.
    Base,
    /// THPs.
    Thp,
    /// Hugetlb pages of this many bytes, a power of two.
    Hugetlb(usize),
    /// Base pages that other processes could map too.
    Shared,
}

/// Where steps get memory. Addresses are not used again while it lives, so that an address tells
/// the step; memory is freed at the end of each step.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) machine: Machine,
    used: Vec<Reservation>,
    /// What /proc said of each area at the end of its step.
    #[cfg(test)]
    pub(super) seen: Vec<super::tests::Seen>,
}

/// A VMA with inaccessible guards on both sides, so that it merges with no other.
#[derive(Debug)]
pub(super) struct Area {
    machine: Machine,
    kind: Kind,
    reservation: Reservation,
    range: Range<usize>,
}

impl Ground {
    pub(super) fn new() -> Self {
        Self {
            machine: Machine::this(),
            used: Vec::new(),
            #[cfg(test)]
            seen: Vec::new(),
        }
    }

    /// Maps an area of `units` pages of its kind, untouched. It begins at a multiple of the size
    /// of a THP, or of its hugetlb page.
    pub(super) fn area(&self, kind: Kind, units: usize) -> Result<Area, StepError> {
        let machine = self.machine;
        let size = unit(kind, machine);
        let align = size.max(machine.pmd);
        let bytes = units.saturating_mul(size);
        // Guards of a whole PMD entry: a walk of a guard then never meets the area's tables.
        let all = bytes.saturating_add(machine.pmd) / machine.pmd * machine.pmd;
        let all = all.saturating_add(2 * align);
        let reservation = Reservation::new(all, align).map_err(|source| StepError::Call {
            call: "mmap",
            start: 0,
            bytes: all,
            source,
        })?;
        let start = reservation.range().start + align;
        let area = Area { machine, kind, reservation, range: start..start + bytes };
        let backing = match kind {
            Kind::Base | Kind::Thp => Backing::Anonymous,
            Kind::Shared => Backing::Shared,
            Kind::Hugetlb(size) => Backing::Hugetlb { shift: size.trailing_zeros() },
        };
        area.reservation.map(&area.range, backing).map_err(failed("mmap", &area.range))?;
        match kind {
            Kind::Thp => area.advise(&area.range, Advice::HugePage)?,
            // A kernel without THP refuses the advice, and needs none.
            Kind::Base | Kind::Shared => {
                drop(area.reservation.advise(&area.range, Advice::NoHugePage));
            }
            Kind::Hugetlb(_) => {}
        }
        Ok(area)
    }

    /// Maps `count` THPs and faults each in by one write: one call of
    /// `do_huge_pmd_anonymous_page` each. khugepaged leaves the area alone afterwards.
    pub(super) fn thps(&self, count: usize) -> Result<Area, StepError> {
        let area = self.area(Kind::Thp, count)?;
        area.write_all();
        area.settle()?;
        Ok(area)
    }

    /// Frees the area's memory, and keeps its addresses.
    pub(super) fn retire(&mut self, area: Area) -> Result<(), StepError> {
        #[cfg(test)]
        self.seen.push(super::tests::Seen::at(&area.range()));
        let all = area.reservation.range();
        area.reservation.map(&all, Backing::Nothing).map_err(failed("mmap", &all))?;
        self.used.push(area.reservation);
        Ok(())
    }
}

fn unit(kind: Kind, machine: Machine) -> usize {
    match kind {
        Kind::Base | Kind::Shared => machine.page,
        Kind::Thp => machine.pmd,
        Kind::Hugetlb(size) => size,
    }
}

impl Area {
    /// First address and one past the last.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The size of its pages in bytes.
    pub(super) fn unit(&self) -> usize {
        unit(self.kind, self.machine)
    }

    /// Its pages, in order.
    pub(super) fn units(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        self.pieces(self.unit())
    }

    /// What each PMD entry maps, in order; the last piece may be smaller.
    pub(super) fn pmds(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        self.pieces(self.machine.pmd)
    }

    fn pieces(&self, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let end = self.range.end;
        self.range.clone().step_by(size).map(move |start| start..end.min(start + size))
    }

    /// A base page inside of a THP, neither its first nor its last.
    pub(super) fn page_inside(&self, thp: &Range<usize>) -> Range<usize> {
        let start = thp.start + thp.len() / 4;
        start..start + self.machine.page
    }

    /// Writes one byte into each page.
    pub(super) fn write_all(&self) {
        for page in self.units() {
            self.reservation.write(page.start);
        }
    }

    /// Writes one byte into the first page of what each PMD entry maps.
    pub(super) fn write_sparsely(&self) {
        for pmd in self.pmds() {
            self.reservation.write(pmd.start);
        }
    }

    /// Reads one byte of each page.
    pub(super) fn read_all(&self) {
        for page in self.units() {
            self.reservation.read(page.start);
        }
    }

    /// Checks that each touched unit is mapped as a whole, and keeps khugepaged off the area.
    ///
    /// `MADV_NOHUGEPAGE` leaves the THPs that are there (mm/khugepaged.c, `hugepage_madvise`).
    pub(super) fn settle(&self) -> Result<(), StepError> {
        let ranges = self.range.len() / self.unit();
        self.advise(&self.range, Advice::NoHugePage)?;
        // Where a THP was allocated, no other page in it faults; where the kernel fell back to
        // base pages, one does. Nothing but memory is touched: a walk would be an event.
        // A fault elsewhere in the thread (its code, its stack) does not come twice.
        let whole = [1, 2, 3].into_iter().any(|quarter| {
            let before = sys::minor_faults();
            for thp in self.units() {
                self.reservation.read(thp.start + thp.len() / 4 * quarter);
            }
            sys::minor_faults() == before
        });
        if whole { Ok(()) } else { Err(StepError::NoHugePage { ranges }) }
    }

    /// `madvise(2)` on a part.
    pub(super) fn advise(&self, part: &Range<usize>, advice: Advice) -> Result<(), StepError> {
        self.reservation.advise(part, advice).map_err(failed(advice.call(), part))
    }

    /// `mprotect(2)`: makes a part read-only.
    pub(super) fn protect(&self, part: &Range<usize>) -> Result<(), StepError> {
        self.reservation.protect(part).map_err(failed("mprotect", part))
    }

    /// `mprotect(2)`: makes a part writable again.
    pub(super) fn unprotect(&self, part: &Range<usize>) -> Result<(), StepError> {
        self.reservation.unprotect(part).map_err(failed("mprotect", part))
    }

    /// `mremap(2)` of a part over one of another area, with `MREMAP_DONTUNMAP`.
    pub(super) fn move_to(
        &self,
        part: &Range<usize>,
        other: &Self,
        to: &Range<usize>,
    ) -> Result<(), StepError> {
        self.reservation.move_to(part, &other.reservation, to).map_err(failed("mremap", part))
    }

    /// `munmap(2)` of a part.
    pub(super) fn unmap(&self, part: &Range<usize>) -> Result<(), StepError> {
        self.reservation.unmap(part).map_err(failed("munmap", part))
    }
}

pub(super) fn failed(
    call: &'static str,
    part: &Range<usize>,
) -> impl Fn(io::Error) -> StepError + Copy + use<> {
    let (start, bytes) = (part.start, part.len());
    move |source| StepError::Call { call, start, bytes, source }
}
