//! Ways to learn what maps an area.

use std::{
    fs::{self, File},
    hint::black_box,
    io::Read as _,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use walkprobe::{
    kernel::gather::gather_btf,
    model::{leaf::Run, set::Wants},
    pagemap::scan::{Region, Scanner as PagemapScan, category},
    probe::scan::{AddressSpace, Scanner},
};

use crate::subjects::Made;

/// One way.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    /// `None` where this kernel has no such interface.
    pub(crate) read: fn(&mut Readers, &Made) -> Result<Option<Duration>>,
    /// The place in [`ALL`] of the one that tells the same.
    pub(crate) compared_with: usize,
}

const SCAN: usize = 0;
const WITH_MARKS: usize = 1;
const WITH_FOLIOS: usize = 2;

pub(crate) const ALL: [Reader; 9] = [
    Reader {
        name: "scan",
        read: |readers, made| readers.scan(made, Wants::default()),
        compared_with: SCAN,
    },
    Reader {
        name: "scan with marks",
        read: |readers, made| readers.scan(made, Wants { marks: true, folios: false }),
        compared_with: SCAN,
    },
    Reader {
        name: "scan with folios",
        read: |readers, made| readers.scan(made, Wants { marks: false, folios: true }),
        compared_with: SCAN,
    },
    Reader {
        name: "PAGEMAP_SCAN, cheapest",
        read: |readers, made| Ok(readers.pagemap_scan(made, Form::Cheapest)),
        compared_with: SCAN,
    },
    Reader {
        name: "PAGEMAP_SCAN, same facts",
        read: |readers, made| Ok(readers.pagemap_scan(made, Form::Facts)),
        compared_with: SCAN,
    },
    Reader {
        name: "PAGEMAP_SCAN, same facts and marks",
        read: |readers, made| Ok(readers.pagemap_scan(made, Form::Marks)),
        compared_with: WITH_MARKS,
    },
    Reader {
        name: "pagemap",
        read: |readers, made| readers.pagemap(made, false),
        compared_with: SCAN,
    },
    Reader {
        name: "pagemap and kpageflags",
        read: |readers, made| readers.pagemap(made, true),
        compared_with: WITH_FOLIOS,
    },
    Reader { name: "smaps", read: |readers, _| readers.smaps(), compared_with: SCAN },
];

#[derive(Clone, Copy)]
enum Form {
    /// Only what is present and huge.
    Cheapest,
    /// Present, not present, page of zeroes, huge, guard region where the kernel knows it.
    Facts,
    /// Soft-dirty and written since write-protected, too.
    Marks,
}

/// What all of them need, opened and allocated before anything is measured.
pub(crate) struct Readers {
    scanner: Scanner,
    space: AddressSpace,
    pagemap: File,
    kpageflags: File,
    /// `PAGE_IS_GUARD` where this kernel knows it.
    guard: u64,
    runs: Vec<(usize, Run)>,
    regions: Vec<Region>,
    entries: Vec<u8>,
    flags: Vec<u8>,
    text: String,
}

impl Readers {
    pub(crate) fn open() -> Result<Self> {
        let open = || File::open("/proc/self/pagemap");
        let mut scanner =
            Scanner::open_for_folios(gather_btf).context("the scan cannot be measured here")?;
        let space = scanner.resolve(open()?)?;
        let pagemap = open()?;
        let knows_guard =
            PagemapScan::new(category::GUARD).scan(&pagemap, 0..4096, |_| Ok(())).is_ok();
        Ok(Self {
            scanner,
            space,
            pagemap,
            kpageflags: File::open("/proc/kpageflags")?,
            guard: if knows_guard { category::GUARD } else { 0 },
            runs: Vec::new(),
            regions: Vec::new(),
            entries: vec![0; 1 << 20],
            flags: vec![0; 1 << 20],
            text: String::new(),
        })
    }

    fn scan(&mut self, made: &Made, wants: Wants) -> Result<Option<Duration>> {
        let runs = &mut self.runs;
        runs.clear();
        let start = Instant::now();
        self.scanner
            .walk(&self.space, &made.ranges, wants, |range, run| runs.push((range, run)))?;
        black_box(&runs);
        Ok(Some(start.elapsed()))
    }

    fn pagemap_scan(&mut self, made: &Made, form: Form) -> Option<Duration> {
        use category::{HUGE, PFNZERO, PRESENT, SOFT_DIRTY, SWAPPED, WRITTEN};
        let facts = PRESENT | SWAPPED | PFNZERO | HUGE | self.guard;
        let mut scan = match form {
            Form::Cheapest => PagemapScan::requiring(PRESENT | HUGE),
            Form::Facts => PagemapScan::new(facts),
            Form::Marks => PagemapScan::new(facts | SOFT_DIRTY | WRITTEN),
        };
        let regions = &mut self.regions;
        regions.clear();
        let start = Instant::now();
        let outcome = scan.scan(&self.pagemap, made.span.clone(), |region| {
            regions.push(region);
            Ok(())
        });
        black_box(&regions);
        outcome.is_ok().then(|| start.elapsed())
    }

    fn pagemap(&mut self, made: &Made, with_flags: bool) -> Result<Option<Duration>> {
        let start = Instant::now();
        for range in &made.ranges {
            let end = range.end / 4096 * 8;
            let mut at = range.start / 4096 * 8;
            while at < end {
                let most = usize::try_from(end - at)?.min(self.entries.len());
                let count = self.pagemap.read_at(&mut self.entries[..most], at)?;
                if with_flags {
                    self.kpageflags(count)?;
                }
                at += count as u64;
            }
        }
        black_box((&self.entries, &self.flags));
        Ok(Some(start.elapsed()))
    }

    /// The flags of all frames that stand in the entries, as few reads as they lie in.
    fn kpageflags(&mut self, bytes: usize) -> Result<()> {
        let (entries, _) = self.entries[..bytes].as_chunks();
        let frames: Vec<u64> = entries
            .iter()
            .map(|entry| u64::from_ne_bytes(*entry))
            .filter(|entry| entry >> 63 != 0)
            .map(|entry| entry & ((1 << 55) - 1))
            .collect();
        for piece in frames.chunk_by(|a, b| a + 1 == *b) {
            self.kpageflags.read_exact_at(&mut self.flags[..piece.len() * 8], piece[0] * 8)?;
        }
        Ok(())
    }

    /// smaps cannot be asked for a part: it has the whole process, in which little else is mapped.
    fn smaps(&mut self) -> Result<Option<Duration>> {
        self.text.clear();
        let start = Instant::now();
        let mut file = fs::File::open("/proc/self/smaps")?;
        file.read_to_string(&mut self.text)?;
        Ok(Some(start.elapsed()))
    }
}
