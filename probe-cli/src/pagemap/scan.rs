//! `ioctl(PAGEMAP_SCAN)` on `/proc/PID/pagemap` (Linux 6.7): the call itself.
#![expect(unsafe_code, reason = "an ioctl that rustix does not know")]

use std::{ffi::c_void, fs::File, io, ops::Range, os::fd::AsFd as _};

use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};

/// Categories of a page (include/uapi/linux/fs.h, `PAGE_IS_*`).
#[expect(missing_docs, reason = "the kernel's names and numbers")]
pub mod category {
    pub const WRITTEN: u64 = 1 << 1;
    pub const PRESENT: u64 = 1 << 3;
    pub const SWAPPED: u64 = 1 << 4;
    pub const PFNZERO: u64 = 1 << 5;
    pub const HUGE: u64 = 1 << 6;
    pub const SOFT_DIRTY: u64 = 1 << 7;
    pub const GUARD: u64 = 1 << 8;
}

/// `struct page_region`: neighbouring pages of the same categories.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Bits of [`category`].
    pub categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Debug, Default)]
struct Argument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

const _: () = assert!(size_of::<Argument>() == 96 && size_of::<Region>() == 24);

/// A page that has none of these is empty.
const NOT_EMPTY: u64 = category::PRESENT | category::SWAPPED | category::GUARD;

/// So many regions at a time: as many as the kernel's own buffer holds
/// (`pagemap_scan_init_bounce_buffer`). With more, one call is several walks, and the `walk_end`
/// of the last but one is what the caller gets when the last one completes.
const REGIONS: usize = 512;

/// Scans a range of addresses call by call.
#[derive(Debug)]
pub struct Scanner {
    regions: Box<[Region]>,
    /// What to report: bits of [`category`].
    pub(crate) wanted: u64,
    /// Only pages that have all of these.
    required: u64,
}

impl Scanner {
    /// Reports these categories of all pages that are not empty.
    #[must_use]
    pub fn new(wanted: u64) -> Self {
        Self { regions: vec![Region::default(); REGIONS].into(), wanted, required: 0 }
    }

    /// Reports only the pages that have all of these categories: the cheapest form.
    #[must_use]
    pub fn requiring(categories: u64) -> Self {
        Self { required: categories, ..Self::new(categories) }
    }

    /// Gives every region in `range` where something is, present or not, to `each`, in order of
    /// address and without overlap.
    ///
    /// # Errors
    /// What the kernel said: `ENOTTY` where it does not know this ioctl, `EINVAL` where it does
    /// not know a category.
    pub fn scan(
        &mut self,
        pagemap: &File,
        range: Range<u64>,
        mut each: impl FnMut(Region) -> io::Result<()>,
    ) -> io::Result<()> {
        let Range { mut start, end } = range;
        while start < end {
            let (count, walk_end) = self.call(pagemap, start..end)?;
            for region in &self.regions[..count] {
                let (from, to) = (region.start.max(start), region.end.min(end));
                if from < to {
                    start = to;
                    each(Region { start: from, end: to, ..*region })?;
                }
            }
            // Whether it completed is told by the count and not by `walk_end`. After a full
            // buffer the walk stopped at `walk_end` or, if that is stale, at the last region.
            if count < REGIONS {
                break;
            }
            start = start.max(walk_end);
        }
        Ok(())
    }

    fn call(&mut self, pagemap: &File, range: Range<u64>) -> io::Result<(usize, u64)> {
        let mut argument = Argument {
            size: size_of::<Argument>() as u64,
            start: range.start,
            end: range.end,
            vec: self.regions.as_mut_ptr().expose_provenance() as u64,
            vec_len: REGIONS as u64,
            category_mask: self.required,
            // Not HUGE alone: hugetlb that was never touched has it too.
            category_anyof_mask: if self.required == 0 { self.wanted & NOT_EMPTY } else { 0 },
            return_mask: self.wanted,
            ..Argument::default()
        };
        // SAFETY: `Call` describes PAGEMAP_SCAN, and `regions` has the length that the argument
        // says and outlives the call. No flag is set, so nothing is write-protected.
        let count = unsafe { ioctl::ioctl(pagemap.as_fd(), Call(&mut argument))? };
        Ok((count.min(REGIONS), argument.walk_end))
    }
}

struct Call<'a>(&'a mut Argument);

// SAFETY: the opcode carries the size of `Argument`, `as_ptr` points to one for as long as the
// call lasts, and the kernel writes nothing else but the regions. The result is their number.
unsafe impl Ioctl for Call<'_> {
    type Output = usize;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<Argument>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.0).cast()
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(usize::try_from(output).unwrap_or(0))
    }
}
