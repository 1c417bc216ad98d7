//! What the watched process does, and how long that takes. What is made ready beforehand is not measured.

use std::{ffi::c_void, io, ops::Range, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{
    memory::{Area, PAGE, PMD},
    subject::own_time,
};

/// One kind of operation.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// How many are in a batch.
    pub(crate) count: usize,
    /// Does so many, and tells what they took together.
    pub(crate) run: fn(usize) -> Result<Duration>,
}

/// A batch.
pub(crate) const ALL: [Operation; 7] = [
    Operation { name: "fault of a base page, by a write", count: 2000, run: base },
    Operation { name: "zap of a base page, by MADV_DONTNEED", count: 2000, run: zap },
    Operation { name: "fault of a huge page of zeroes, by a read", count: 256, run: thp_read },
    Operation { name: "fault of a THP, by a write", count: 16, run: thp },
    Operation { name: "PMD split, by mprotect of a base page", count: 32, run: split_protect },
    Operation { name: "PMD split, by munmap of a base page", count: 32, run: split_unmap },
    Operation { name: "move of a base page, by mremap", count: 1000, run: shift },
];

fn timed(work: impl FnOnce() -> io::Result<()>) -> Result<Duration> {
    let start = own_time();
    work()?;
    Ok(own_time().saturating_sub(start))
}

fn base(count: usize) -> Result<Duration> {
    let area = Area::base(count * PAGE)?;
    timed(|| {
        area.write(0..count * PAGE);
        Ok(())
    })
}

fn zap(count: usize) -> Result<Duration> {
    let area = Area::base(count * PAGE)?;
    area.write(0..count * PAGE);
    timed(|| each(count, PAGE, |page| area.advise(page, libc::MADV_DONTNEED)))
}

fn thp_read(count: usize) -> Result<Duration> {
    let area = huge(count)?;
    timed(|| {
        each(count, PMD, |thp| {
            area.read(thp.start..thp.start + PAGE);
            Ok(())
        })
    })
}

fn thp(count: usize) -> Result<Duration> {
    let area = huge(count)?;
    timed(|| {
        each(count, PMD, |thp| {
            area.write(thp.start..thp.start + PAGE);
            Ok(())
        })
    })
}

fn split_protect(count: usize) -> Result<Duration> {
    let area = thps(count)?;
    timed(|| each(count, PMD, |thp| area.protect(page_inside(&thp), libc::PROT_READ)))
}

/// Nothing is mapped between these calls and the end of the area, so that the holes stay empty.
fn split_unmap(count: usize) -> Result<Duration> {
    let area = thps(count)?;
    let start = usize::try_from(area.range().start)?;
    timed(|| each(count, PMD, |thp| unmap(start + page_inside(&thp).start)))
}

/// To where nothing has been before; with MREMAP_DONTUNMAP, so that each move finds the same VMA.
fn shift(count: usize) -> Result<Duration> {
    let (from, to) = (Area::base(count * PAGE)?, Area::base(count * PAGE)?);
    from.write(0..count * PAGE);
    let (from_start, to_start) =
        (usize::try_from(from.range().start)?, usize::try_from(to.range().start)?);
    timed(|| each(count, PAGE, |page| shift_page(from_start + page.start, to_start + page.start)))
}

fn each(
    count: usize,
    size: usize,
    mut work: impl FnMut(Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    (0..count).try_for_each(|number| work(number * size..(number + 1) * size))
}

/// Neither the first page nor the last one.
fn page_inside(thp: &Range<usize>) -> Range<usize> {
    let start = thp.start + thp.len() / 4;
    start..start + PAGE
}

fn huge(count: usize) -> Result<Area> {
    Area::huge(count * PMD)?.context("THP is switched off")
}

/// Mapped THPs.
fn thps(count: usize) -> Result<Area> {
    let area = huge(count)?;
    let write = |area: &Area| {
        each(count, PMD, |thp| {
            area.write(thp.start..thp.start + PAGE);
            Ok(())
        })
    };
    write(&area)?;
    if !is_whole(&area)? {
        bail!("there is not enough memory for {count} THPs");
    }
    Ok(area)
}

/// Whether everything is mapped by THPs: the kernel tells the sum for each VMA.
fn is_whole(area: &Area) -> Result<bool> {
    let smaps = std::fs::read_to_string("/proc/self/smaps")?;
    let begin = format!("{:x}-", area.range().start);
    let vma = smaps.lines().skip_while(|line| !line.starts_with(&begin));
    let sum = vma.skip(1).find_map(|line| line.strip_prefix("AnonHugePages:"));
    let kib: u64 = sum.and_then(|sum| sum.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0);
    Ok(kib * 1024 == area.length() as u64)
}

#[expect(unsafe_code, reason = "there is no safe interface")]
fn unmap(page: usize) -> io::Result<()> {
    // SAFETY: a page of our own mapping, to which nothing refers.
    match unsafe { libc::munmap(page as *mut c_void, PAGE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[expect(unsafe_code, reason = "there is no safe interface")]
fn shift_page(from: usize, to: usize) -> io::Result<()> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    // SAFETY: both are pages of our own mappings, to which nothing refers.
    let moved = unsafe { libc::mremap(from as *mut c_void, PAGE, PAGE, flags, to as *mut c_void) };
    if moved == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}
