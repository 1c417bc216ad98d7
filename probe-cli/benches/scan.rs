//! The scan of page tables beside the kernel's own interfaces, in one run and on the same areas:
//! `cargo xtask bench scan`, as root. Prints a table in Markdown.

#[path = "../tests/guest/memory.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod memory;

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use memory::{Area, PAGE, PMD};
use walkprobe::{
    kernel::gather::gather_btf,
    model::set::Wants,
    probe::scan::{AddressSpace, Scanner},
    units,
};

/// Rounds over all readers; the median is told.
const ROUNDS: usize = 15;

/// One thing that is read, and by whom.
struct Subject {
    name: &'static str,
    areas: Vec<Area>,
}

fn main() -> Result<()> {
    let mut scanner = Scanner::open(&gather_btf()).context("the scan cannot be measured here")?;
    let space = scanner.resolve(File::open("/proc/self/pagemap")?)?;
    let mut out = io::stdout().lock();
    writeln!(out, "Kernel {}, {ROUNDS} rounds, median; ns per 4 KiB of the area.\n", release()?)?;
    writeln!(out, "| area | {} |", READERS.map(|reader| reader.name).join(" | "))?;
    writeln!(out, "|---|{}", "---|".repeat(READERS.len()))?;
    for subject in subjects()? {
        let bytes: u64 =
            subject.areas.iter().map(|area| area.range().end - area.range().start).sum();
        let mut times = vec![Vec::new(); READERS.len()];
        for _ in 0..ROUNDS {
            for (reader, times) in READERS.iter().zip(&mut times) {
                times.push((reader.read)(&mut scanner, &space, &subject.areas)?);
            }
        }
        let cells: Vec<String> =
            times.iter_mut().map(|times| cell(times, bytes / PAGE as u64)).collect();
        writeln!(out, "| {} | {} |", subject.name, cells.join(" | "))?;
    }
    Ok(())
}

fn release() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned())
}

/// The median in ns per page, and as a whole.
fn cell(times: &mut [Option<Duration>], pages: u64) -> String {
    let Some(mut times) = times.iter().copied().collect::<Option<Vec<_>>>() else {
        return "-".to_owned();
    };
    times.sort();
    let median = times[times.len() / 2];
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let per_page = median.as_nanos() as f64 / pages as f64;
    format!("{per_page:.2} ({})", units::duration(u64::try_from(median.as_nanos()).unwrap_or(0)))
}

/// Memory that is known.
fn subjects() -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    let dense = Area::base(1 << 30)?;
    dense.write(0..1 << 30);
    subjects.push(Subject { name: "dense 4K, 1 GiB", areas: vec![dense] });
    if let Some(thp) = Area::huge(1 << 30)? {
        thp.write(0..1 << 30);
        subjects.push(Subject { name: "THP, 1 GiB", areas: vec![thp] });
    }
    if let Some(split) = Area::huge(1 << 28)? {
        split.write(0..1 << 28);
        for pmd in (0..1 << 28).step_by(PMD) {
            split.forbid(pmd + PAGE..pmd + 2 * PAGE)?;
        }
        subjects.push(Subject { name: "THP mapped by PTEs, 256 MiB", areas: vec![split] });
    }
    if let Some(hugetlb) = Area::hugetlb(64 * PMD, PMD)? {
        hugetlb.write(0..64 * PMD);
        subjects.push(Subject { name: "hugetlb, 128 MiB", areas: vec![hugetlb] });
    }
    let sparse = Area::base(1 << 30)?;
    for page in (0..1 << 30).step_by(16 * PAGE) {
        sparse.write(page..page + PAGE);
    }
    subjects.push(Subject { name: "every 16th page, 1 GiB", areas: vec![sparse] });
    let small: Vec<Area> = (0..1000)
        .map(|_| {
            let area = Area::base(4 * PAGE)?;
            area.write(0..4 * PAGE);
            Ok(area)
        })
        .collect::<io::Result<_>>()?;
    subjects.push(Subject { name: "1,000 VMAs of 16 KiB", areas: small });
    Ok(subjects)
}

type Read = fn(&mut Scanner, &AddressSpace, &[Area]) -> Result<Option<Duration>>;

/// A way to learn what maps an area.
struct Reader {
    name: &'static str,
    read: Read,
}

const READERS: [Reader; 6] = [
    Reader { name: "scan", read: |scanner, space, areas| scan(scanner, space, areas, false) },
    Reader {
        name: "scan with marks",
        read: |scanner, space, areas| scan(scanner, space, areas, true),
    },
    Reader {
        name: "PAGEMAP_SCAN, present and huge",
        read: |_, _, areas| pagemap_scan(areas, true),
    },
    Reader { name: "PAGEMAP_SCAN, same facts", read: |_, _, areas| pagemap_scan(areas, false) },
    Reader { name: "pagemap", read: |_, _, areas| pagemap(areas) },
    Reader { name: "smaps (whole process)", read: |_, _, _| smaps() },
];

fn scan(
    scanner: &mut Scanner,
    space: &AddressSpace,
    areas: &[Area],
    marks: bool,
) -> Result<Option<Duration>> {
    let mut ranges: Vec<_> = areas.iter().map(Area::range).collect();
    ranges.sort_by_key(|range| range.start);
    let wants = Wants { marks, folios: false };
    let mut runs = Vec::with_capacity(1 << 17);
    runs.resize_with(1 << 17, || {
        (
            0usize,
            walkprobe::model::leaf::Run {
                start: 0,
                size: walkprobe::model::leaf::LeafSize::BASE,
                count: 0,
                kind: walkprobe::model::leaf::LeafKind::Hole,
                folio_order: None,
                marks: None,
            },
        )
    });
    runs.clear();
    let start = Instant::now();
    scanner.walk(space, &ranges, wants, |range, run| runs.push((range, run)))?;
    let took = start.elapsed();
    std::hint::black_box(runs);
    Ok(Some(took))
}

/// `struct pm_scan_arg` (`include/uapi/linux/fs.h`).
#[repr(C)]
#[derive(Default)]
struct PmScanArg {
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

/// `PAGEMAP_SCAN`: `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: u64 = 0xc060_6610;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
const PFNZERO: u64 = 1 << 5;
const HUGE: u64 = 1 << 6;
const SOFT_DIRTY: u64 = 1 << 7;

#[expect(unsafe_code, reason = "an ioctl that libc does not know")]
fn pagemap_scan(areas: &[Area], cheapest: bool) -> Result<Option<Duration>> {
    use std::os::fd::AsRawFd as _;
    let file = File::open("/proc/self/pagemap")?;
    let mut regions = vec![[0_u64; 3]; 1 << 16];
    let start = Instant::now();
    for area in areas {
        let mut argument = PmScanArg {
            size: size_of::<PmScanArg>() as u64,
            start: area.range().start,
            end: area.range().end,
            vec: regions.as_mut_ptr() as u64,
            vec_len: regions.len() as u64,
            ..PmScanArg::default()
        };
        if cheapest {
            argument.category_mask = PRESENT | HUGE;
            argument.return_mask = PRESENT | HUGE;
        } else {
            argument.category_anyof_mask = PRESENT | SWAPPED;
            argument.return_mask = PRESENT | SWAPPED | PFNZERO | HUGE | SOFT_DIRTY;
        }
        // SAFETY: the argument and the regions live through the call, and their sizes are told.
        let number = unsafe { libc::ioctl(file.as_raw_fd(), PAGEMAP_SCAN, &raw mut argument) };
        if number < 0 {
            return Ok(None);
        }
    }
    Ok(Some(start.elapsed()))
}

fn pagemap(areas: &[Area]) -> Result<Option<Duration>> {
    let file = File::open("/proc/self/pagemap")?;
    let mut entries = vec![0; 1 << 20];
    let start = Instant::now();
    for area in areas {
        let end = area.range().end / PAGE as u64 * 8;
        let mut at = area.range().start / PAGE as u64 * 8;
        while at < end {
            let most = usize::try_from(end - at)?.min(entries.len());
            at += file.read_at(&mut entries[..most], at)? as u64;
        }
    }
    Ok(Some(start.elapsed()))
}

/// smaps cannot be asked for a part.
fn smaps() -> Result<Option<Duration>> {
    let mut text = String::with_capacity(1 << 22);
    let start = Instant::now();
    File::open("/proc/self/smaps")?.read_to_string(&mut text)?;
    Ok(Some(start.elapsed()))
}
