//! One entry of `/proc/PID/pagemap`, and what the kernel says about page frames.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use crate::{kernel::vmas::base_page, model::leaf::LeafKind};

/// An entry (fs/proc/task_mmu.c, `pagemap_read`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    const SOFT_DIRTY: u64 = 1 << 55;
    const EXCLUSIVE: u64 = 1 << 56;
    const UFFD_WP: u64 = 1 << 57;
    const GUARD: u64 = 1 << 58;
    const FILE: u64 = 1 << 61;
    const SWAP: u64 = 1 << 62;
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;

    /// Nothing is there; the mark of the VMA may be.
    pub(crate) const fn is_hole(self) -> bool {
        self.0 & (Self::PRESENT | Self::SWAP | Self::GUARD | Self::UFFD_WP) == 0
    }

    pub(crate) const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    pub(crate) const fn is_soft_dirty(self) -> bool {
        self.0 & Self::SOFT_DIRTY != 0
    }

    pub(crate) const fn is_uffd_wp(self) -> bool {
        self.0 & Self::UFFD_WP != 0
    }

    /// A page without a folio of its own kind: the zero page is neither a file's nor anybody's.
    pub(crate) const fn can_be_zero(self) -> bool {
        self.is_present() && self.0 & (Self::FILE | Self::EXCLUSIVE) == 0
    }

    /// What neighbours of one PMD leaf have in common: not the frame, and not whether somebody else maps the page too,
    /// perhaps by PTEs (fs/proc/task_mmu.c, `pagemap_pmd_range`, tells that of each page for itself).
    pub(crate) const fn flags(self) -> u64 {
        self.0 & !(Self::FRAME | Self::EXCLUSIVE)
    }

    /// The page frame number of a present page; 0 for readers without CAP_SYS_ADMIN.
    pub(crate) const fn frame(self) -> u64 {
        self.0 & Self::FRAME
    }

    /// What a non-present entry of a generic VMA holds.
    ///
    /// Bits 0 to 4 are the swap type, where the reader may see it. Types that are swap files come
    /// first, and 22 or more of them exist in every configuration; the last one is the marker, or
    /// from Linux 5.19 to 6.1 the last but one (include/linux/swap.h). What the others mean depends
    /// on the configuration.
    pub(crate) const fn non_present(self) -> LeafKind {
        const MARKER: u64 = 31;
        if self.0 & Self::GUARD != 0 {
            return LeafKind::Guard;
        }
        let (kind, offset) = (self.frame() & 31, self.frame() >> 5);
        match (kind, offset) {
            // Before markers (5.19) type 31 had a page frame as offset, never such a low one, and
            // so has type 30 where it is no marker.
            (30 | MARKER, 1) => LeafKind::UffdWp,
            (MARKER, 2 | 3) => LeafKind::UffdPoison,
            (MARKER, 4..=7) => LeafKind::Guard,
            (0..22, _) => LeafKind::Swap,
            _ => LeafKind::Other,
        }
    }
}

/// What a page of this process's own memory looks like: it tells what the reader may see.
pub(crate) fn own() -> Option<Entry> {
    let here = 0_u8;
    let page = (&raw const here).addr() as u64 & !(base_page() - 1);
    let pagemap = File::open("/proc/self/pagemap").ok()?;
    Window::new().read(&pagemap, page, page + base_page()).ok()?.next()
}

/// A window of entries, read as it moves on.
#[derive(Debug)]
pub(crate) struct Window {
    buffer: Box<[u8]>,
}

impl Window {
    /// 64 KiB: entries for 32 MiB of addresses.
    const BYTES: usize = 64 << 10;

    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; Self::BYTES].into() }
    }

    /// The entries from `start` on, as many as fit, or fewer at `end`; both page-aligned.
    ///
    /// # Errors
    /// `UnexpectedEof` when the address space is gone.
    pub(crate) fn read(
        &mut self,
        pagemap: &File,
        start: u64,
        end: u64,
    ) -> io::Result<impl ExactSizeIterator<Item = Entry> + Clone> {
        let pages = (end.saturating_sub(start) / base_page()).min(Self::BYTES as u64 / 8);
        let wanted = usize::try_from(pages * 8).unwrap_or(0);
        let window = &mut self.buffer[..wanted];
        pagemap.read_exact_at(window, start / base_page() * 8)?;
        let (entries, _) = window.as_chunks();
        Ok(entries.iter().map(|&bytes| Entry(u64::from_ne_bytes(bytes))))
    }
}

/// `/proc/kpageflags`: what a page frame is.
#[derive(Debug)]
pub(crate) struct FrameFlags(File);

impl FrameFlags {
    const COMPOUND_HEAD: u64 = 1 << 15;
    const COMPOUND_TAIL: u64 = 1 << 16;
    const THP: u64 = 1 << 22;
    const ZERO_PAGE: u64 = 1 << 24;

    /// `None` without the right to read it (CAP_SYS_ADMIN).
    pub(crate) fn open() -> Option<Self> {
        let flags = Self(File::open("/proc/kpageflags").ok()?);
        flags.of(0).map(|_| flags)
    }

    fn of(&self, frame: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, frame.checked_mul(8)?).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }

    /// What the 512 frames from `frame` on are together. The huge page of zeroes is a compound
    /// page, and its flags are the same on kernels that call it a THP and on those that do not.
    pub(crate) fn block(&self, frame: u64, frames: u64) -> Block {
        let (Some(head), Some(middle)) = (self.of(frame), self.of(frame + frames / 2)) else {
            return Block::Pages;
        };
        if head & Self::ZERO_PAGE != 0 {
            Block::HugeZero
        } else if head & Self::THP != 0
            && head & Self::COMPOUND_HEAD != 0
            && middle & Self::COMPOUND_TAIL != 0
        {
            Block::Folio
        } else {
            Block::Pages
        }
    }

    /// Whether this frame is the page of zeroes, and not a part of the huge one.
    pub(crate) fn is_base_zero(&self, frame: u64) -> bool {
        let huge = Self::THP | Self::COMPOUND_HEAD | Self::COMPOUND_TAIL;
        self.of(frame).is_some_and(|flags| flags & Self::ZERO_PAGE != 0 && flags & huge == 0)
    }
}

/// What neighbouring frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// One folio of at least this size.
    Folio,
    /// The huge page of zeroes.
    HugeZero,
    /// Anything else.
    Pages,
}

#[cfg(test)]
mod tests {
    use super::Entry;
    use crate::model::leaf::LeafKind;

    #[test]
    fn who_else_maps_a_page_tells_nothing_of_its_leaf() {
        const PRESENT: u64 = 1 << 63;
        let flags = |bits: u64| Entry(PRESENT | 0x1234 | bits).flags();
        assert_eq!(flags(1 << 56), flags(0));
        assert_eq!(Entry(PRESENT | 0x1235).flags(), flags(0));
        assert_ne!(flags(1 << 57), flags(0));
    }

    #[test]
    fn non_present_entries() {
        const SWAP: u64 = 1 << 62;
        for (entry, kind) in [
            (SWAP | 7 << 5, LeafKind::Swap),
            (SWAP | 0x15 | 7 << 5, LeafKind::Swap),
            (SWAP | 0x16 | 7 << 5, LeafKind::Other),
            (SWAP | 0x1e | 0x1234 << 5, LeafKind::Other),
            (SWAP | 0x1f | 1 << 5, LeafKind::UffdWp),
            (SWAP | 0x1f | 2 << 5, LeafKind::UffdPoison),
            (SWAP | 0x1f | 4 << 5, LeafKind::Guard),
            (SWAP | 0x1f | 0x1234 << 5, LeafKind::Other),
            (SWAP | 1 << 58, LeafKind::Guard),
            // Seen on 6.18, made by UFFDIO_WRITEPROTECT and UFFDIO_POISON.
            (0x4200_0000_0000_003f, LeafKind::UffdWp),
            (0x4000_0000_0000_005f, LeafKind::UffdPoison),
            // Seen on 6.1.
            (0x4280_0000_0000_003e, LeafKind::UffdWp),
            // Without the right to see more.
            (SWAP, LeafKind::Swap),
        ] {
            assert_eq!(Entry(entry).non_present(), kind, "{entry:#x}");
        }
    }

    #[test]
    fn holes_may_have_the_mark_of_their_vma() {
        assert!(Entry(1 << 55).is_hole());
        assert!(!Entry(1 << 57).is_hole());
        assert!(Entry(1 << 63 | 5).can_be_zero());
        assert!(!Entry(1 << 63 | 1 << 61 | 5).can_be_zero());
    }
}
