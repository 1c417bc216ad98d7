//! Steps on this kernel, seen by /proc just before their memory is freed.

use std::{
    fs,
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{Mutex, PoisonError},
};

use probe_common::probe::Probe;

use super::{Machine, Need, Outcome, Request, memory::Ground, one, run, sys::NoNumaBalancing};

/// What smaps and pagemap say of an area; sizes in base pages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    vmas: usize,
    rss: usize,
    thp: usize,
    hugetlb: usize,
    /// Pages whose pagemap entry has `PM_PRESENT` (bit 63).
    present: usize,
}

impl Seen {
    pub(super) fn at(area: &Range<usize>) -> Self {
        let page = Machine::this().page;
        let mut seen = Self::default();
        let mut inside = false;
        for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap();
            if let Some((start, _)) = first.split_once('-') {
                inside = usize::from_str_radix(start, 16).is_ok_and(|start| area.contains(&start));
                // What a step unmapped is kept inaccessible.
                seen.vmas += usize::from(inside && !line.contains(" ---p "));
            } else if inside {
                let mut pages = || words.next().unwrap().parse::<usize>().unwrap() * 1024 / page;
                match first {
                    "Rss:" => seen.rss += pages(),
                    "AnonHugePages:" => seen.thp += pages(),
                    // Shared while a child of another test is about to call exec.
                    "Private_Hugetlb:" | "Shared_Hugetlb:" => seen.hugetlb += pages(),
                    _ => {}
                }
            }
        }
        let mut entries = vec![0; area.len() / page * 8];
        let pagemap = fs::File::open("/proc/self/pagemap").unwrap();
        pagemap.read_exact_at(&mut entries, (area.start / page * 8) as u64).unwrap();
        seen.present = entries.chunks_exact(8).filter(|entry| entry[7] & 0x80 != 0).count();
        seen
    }
}

/// What the areas of a step look like at its end; `None`, and the reason printed, when this machine
/// cannot do the step.
fn seen(request: &str) -> Option<Vec<Seen>> {
    // One at a time: tests must not take each other's huge pages.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let request: Request = request.parse().unwrap();
    let _pool = request.step.needs.contains(&Need::Hugetlb2M).then(|| Pool::with(request.count));
    let _policy = NoNumaBalancing::begin();
    let mut ground = Ground::new();
    let report = one(&request, &mut ground);
    match report.outcome {
        Outcome::Done(_) => Some(ground.seen),
        Outcome::Skipped { reason } => {
            println!("{request} skipped: {reason}");
            None
        }
        Outcome::Failed { reason } => panic!("{request}: {reason}"),
    }
}

/// A pool of 2 MiB pages, set back to what it was when dropped.
struct Pool(Option<String>);

impl Pool {
    const FILE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

    fn with(pages: usize) -> Self {
        let before = fs::read_to_string(Self::FILE).ok();
        match fs::write(Self::FILE, pages.to_string()) {
            Ok(()) => Self(before),
            Err(error) => {
                println!("{}: {error}", Self::FILE);
                Self(None)
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            fs::write(Self::FILE, before.trim()).unwrap();
        }
    }
}

/// Pages of one THP.
fn many() -> usize {
    Machine::this().pages_per_pmd()
}

#[test]
fn base_pages_are_base_pages() {
    let expected = Seen { vmas: 1, rss: 700, present: 700, ..Seen::default() };
    assert_eq!(seen("base:700").unwrap(), [expected]);
}

#[test]
fn hugetlb_pages_come_from_the_pool() {
    if let Some(seen) = seen("hugetlb-2m:3") {
        let pages = (6 << 20) / Machine::this().page;
        // Hugetlb pages are not in Rss.
        assert_eq!(seen, [Seen { vmas: 1, hugetlb: pages, present: pages, ..Seen::default() }]);
    }
}

#[test]
fn thps_are_whole() {
    let all = 3 * many();
    if let Some(seen) = seen("thp:3") {
        assert_eq!(seen, [Seen { vmas: 1, rss: all, thp: all, present: all, hugetlb: 0 }]);
    }
}

#[test]
fn reads_map_something_everywhere() {
    if let Some(seen) = seen("thp-read:3") {
        // Huge zero pages are in no statistics.
        assert_eq!((seen[0].vmas, seen[0].present), (1, 3 * many()));
    }
}

#[test]
fn splits_leave_no_thp_but_all_other_pages() {
    let all = 3 * many();
    for (step, vmas, left) in [
        ("split-munmap:3", 4, all - 3),
        ("split-mprotect:3", 7, all),
        ("folio-split:3", 1, all),
        ("thp-cow:3", 1, all),
    ] {
        if let Some(seen) = seen(step) {
            // From Linux 6.12, a folio split leaves the zero page where a page was all zeroes
            // (mm/migrate.c, `try_to_map_unused_to_zeropage`): present, but in no statistics.
            let rss = if step == "folio-split:3" { seen[0].rss } else { left };
            let expected = Seen { vmas, rss, thp: 0, hugetlb: 0, present: left };
            assert_eq!(seen, [expected], "{step}");
        }
    }
}

#[test]
fn collapses_leave_thps() {
    let all = many();
    if let Some(seen) = seen("collapse:3") {
        assert_eq!(seen.len(), 3);
        for area in seen {
            assert_eq!(area, Seen { vmas: 1, rss: all, thp: all, present: all, hugetlb: 0 });
        }
    }
}

#[test]
fn walks_change_nothing() {
    let all = 4 * many();
    for step in ["smaps:2", "pagemap:2"] {
        if let Some(seen) = seen(step) {
            let base = Seen { vmas: 1, rss: all, present: all, ..Seen::default() };
            let thp = Seen { vmas: 1, rss: all, thp: all, present: all, hugetlb: 0 };
            assert_eq!(seen[..2], [base, thp], "{step}");
        }
    }
}

#[test]
fn a_run_reports_areas_that_do_not_overlap() {
    let requests = ["base:3", "base:700", "base:3"].map(|text| text.parse().unwrap());
    let report = run(&requests);
    let mut areas = Vec::new();
    for step in &report.steps {
        let Outcome::Done(done) = &step.outcome else {
            panic!("{step:?}");
        };
        assert_eq!(done.expected.len(), 1);
        assert_eq!(done.expected[0].probe, Probe::MmFault);
        assert_eq!(done.expected[0].number, step.count as u64);
        areas.extend(done.areas.iter().map(|area| area.start.0..area.end.0));
    }
    assert_eq!(areas.len(), 3);
    areas.sort_by_key(|area| area.start);
    assert!(areas.windows(2).all(|two| two[0].end < two[1].start), "{areas:x?}");
}

#[test]
fn what_the_machine_lacks_is_a_reason_not_a_failure() {
    // No machine that runs tests has 64 free pages of 1 GiB.
    let report = run(&["hugetlb-1g:64".parse().unwrap()]);
    assert!(report.has_skipped() && !report.has_failed(), "{report:?}");
}
