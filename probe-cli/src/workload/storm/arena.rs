//! Where a storm rages: slots of addresses that nothing else in the process uses, and files to map into them.

use std::{fs::File, io, ops::Range, path::Path};

use fastrand::Rng;

use super::{super::machine::Machine, sys, uffd::Uffd};

/// Where it begins: far below all that the kernel finds addresses for by itself, which is taken from above
/// (mm/mmap.c, `arch_get_unmapped_area_topdown`), so that a hole in it stays a hole.
const START: usize = 0x2000_0000_0000;
/// Addresses of each thread.
const OF_THREAD: usize = 1 << 34;
/// Slots with base pages and THPs, of each thread.
const ORDINARY: usize = 8;
/// PMD entries of a slot.
const PMDS: usize = 3;

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// Whatever has base pages.
    Base,
    /// hugetlb pages of 2 MiB.
    Hugetlb2M,
    /// hugetlb pages of 1 GiB.
    Hugetlb1G,
}

/// Some addresses of the arena, in whole pages: they belong to the storm, whatever is mapped there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    range: Range<usize>,
    /// Bytes from the beginning of its slot.
    pub(super) offset: usize,
    pub(super) pages: Pages,
}

impl Part {
    pub(super) fn start(&self) -> usize {
        self.range.start
    }

    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// Its base pages.
    pub(super) fn addresses(&self) -> impl Iterator<Item = usize> + use<> {
        self.range.clone().step_by(Machine::this().page)
    }

    /// A piece of it, in bytes from its beginning.
    fn piece(&self, bytes: Range<usize>) -> Self {
        assert!(bytes.start < bytes.end && bytes.end <= self.len(), "{bytes:?} of {self:?}");
        Self {
            range: self.range.start + bytes.start..self.range.start + bytes.end,
            offset: self.offset + bytes.start,
            pages: self.pages,
        }
    }

    /// The first half and the second one, in whole pages; `None` for a single page.
    pub(super) fn halves(&self) -> Option<(Self, Self)> {
        let unit = unit(self.pages);
        let middle = self.range.start + self.len() / 2 / unit * unit;
        if middle == self.range.start {
            return None;
        }
        let middle = middle - self.range.start;
        Some((self.piece(0..middle), self.piece(middle..self.len())))
    }
}

/// The files that are mapped, each as long as a slot.
#[derive(Debug)]
pub(super) struct Files {
    /// On a disk, or whatever the folder is on.
    pub(super) disk: File,
    pub(super) shmem: File,
    /// In a tmpfs that gives huge pages; absent where it cannot be mounted.
    pub(super) huge_shmem: io::Result<File>,
    /// Of hugetlb pages of 2 MiB.
    pub(super) hugetlb: io::Result<File>,
    /// A pattern, to be read into memory.
    pub(super) source: File,
    /// Zeroes without end.
    pub(super) zeroes: File,
    /// Where memory is written to.
    pub(super) sink: File,
}

/// All that the threads share.
#[derive(Debug)]
pub(super) struct Arena {
    slots: Vec<Part>,
    /// The first one of each thread.
    first: Vec<usize>,
    pub(super) files: Files,
    pub(super) uffd: io::Result<Uffd>,
}

/// What an operation works with.
pub(super) struct Scene<'a> {
    pub(super) arena: &'a Arena,
    thread: usize,
    pub(super) dice: &'a mut Rng,
}

/// The size of pages in bytes.
pub(super) fn unit(pages: Pages) -> usize {
    match pages {
        Pages::Base => Machine::this().page,
        Pages::Hugetlb2M => 2 << 20,
        Pages::Hugetlb1G => 1 << 30,
    }
}

impl Arena {
    pub(super) fn new(threads: usize, folder: &Path) -> io::Result<Self> {
        sys::is_free(START..START + threads * OF_THREAD)?;
        let pmd = Machine::this().pmd;
        let length = PMDS * pmd;
        let (mut slots, mut first) = (Vec::new(), Vec::new());
        for thread in 0..threads {
            first.push(slots.len());
            let base = START + thread * OF_THREAD;
            // The slots of 1 GiB come first, where they are aligned; one is enough for a small pool.
            let mut at = base + (1 << 30);
            let mut slot = |pages, length: usize| {
                slots.push(Part { range: at..at + length, offset: 0, pages });
                // Neighbours never join, and never share a table.
                at = (at + length).next_multiple_of(pmd) + pmd;
            };
            if thread == 0 {
                slot(Pages::Hugetlb1G, 1 << 30);
            }
            slot(Pages::Hugetlb2M, length);
            for _ in 0..ORDINARY {
                slot(Pages::Base, length);
            }
        }
        let files = Files {
            disk: sys::unnamed_file(folder, length)?,
            shmem: sys::memfd(length, 0)?,
            huge_shmem: sys::huge_tmpfs_file(length),
            hugetlb: sys::memfd(length, libc::MFD_HUGETLB | libc::MFD_HUGE_2MB),
            source: sys::pattern(length)?,
            zeroes: File::open("/dev/zero")?,
            sink: sys::memfd(length, 0)?,
        };
        Ok(Self { slots, first, files, uffd: Uffd::new() })
    }

    /// What one thread sees, with its dice.
    pub(super) fn scene<'a>(&'a self, thread: usize, dice: &'a mut Rng) -> Scene<'a> {
        Scene { arena: self, thread, dice }
    }

    fn of_thread(&self, thread: usize) -> &[Part] {
        let end = self.first.get(thread + 1).copied().unwrap_or(self.slots.len());
        &self.slots[self.first[thread]..end]
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for slot in &self.slots {
            // Fails for nothing; what is not mapped needs no unmapping.
            let _ = sys::unmap(slot);
        }
    }
}

impl Scene<'_> {
    /// A whole slot of some pages: mostly one of its own, sometimes another thread's.
    pub(super) fn slot(&mut self, pages: Pages) -> Part {
        let thread = if pages == Pages::Hugetlb1G {
            0
        } else if self.dice.u8(..4) == 0 {
            self.dice.usize(..self.arena.first.len())
        } else {
            self.thread
        };
        let slots = self.arena.of_thread(thread);
        let count = slots.iter().filter(|slot| slot.pages == pages).count();
        let chosen = self.dice.usize(..count.max(1));
        slots.iter().filter(|slot| slot.pages == pages).nth(chosen).unwrap_or(&slots[0]).clone()
    }

    /// A part of any slot: the whole, some PMD entries, or some pages. Rarely of hugetlb memory, and more rarely of
    /// a page of 1 GiB: to fill one with zeroes takes as long as hundreds of other operations.
    pub(super) fn part(&mut self) -> Part {
        let pages = match self.dice.u8(..16) {
            0 | 1 => Pages::Hugetlb2M,
            2 if self.dice.u8(..32) == 0 => Pages::Hugetlb1G,
            _ => Pages::Base,
        };
        let slot = self.slot(pages);
        self.within(&slot)
    }

    /// The slot that userfaultfd watches most of the time: the last one of a thread.
    pub(super) fn watched(&mut self) -> Part {
        let slots = self.arena.of_thread(self.thread);
        let last = slots[slots.len() - 1].clone();
        if self.dice.u8(..4) == 0 { self.slot(Pages::Base) } else { last }
    }

    /// Some PMD entries of a slot.
    pub(super) fn large(&mut self) -> Part {
        let slot = self.slot(Pages::Base);
        let pmd = Machine::this().pmd;
        let first = self.dice.usize(..slot.len() / pmd);
        let count = self.dice.usize(1..=slot.len() / pmd - first);
        slot.piece(first * pmd..(first + count) * pmd)
    }

    /// A part of a slot.
    pub(super) fn within(&mut self, slot: &Part) -> Part {
        let small = unit(slot.pages);
        let pmd = Machine::this().pmd.max(small);
        let (step, most) = match self.dice.u8(..8) {
            0 => return slot.clone(),
            1 | 2 => (pmd, slot.len() / pmd),
            3 => (small, slot.len() / small),
            _ => (small, 16),
        };
        let count = self.dice.usize(1..=most.min(slot.len() / step));
        let first = self.dice.usize(0..=slot.len() / step - count);
        slot.piece(first * step..(first + count) * step)
    }

    /// A part like this one elsewhere: the same length, at the same distance from the beginning of its slot
    /// or, if `shifted`, at another one.
    pub(super) fn counterpart(&mut self, part: &Part, shifted: bool) -> Part {
        let slot = self.slot(part.pages);
        let unit = unit(slot.pages);
        let offset = if shifted {
            self.dice.usize(0..=(slot.len() - part.len()) / unit) * unit
        } else {
            part.offset
        };
        slot.piece(offset..offset + part.len())
    }

    /// One base page of a part.
    pub(super) fn page(&mut self, part: &Part) -> usize {
        let page = Machine::this().page;
        part.range.start + self.dice.usize(..part.len() / page) * page
    }
}
