//! Known mappings of this process, read back by both sources.

use std::{
    fs,
    ops::Range,
    process,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Abilities, Error, Source, fixture::Area, read, read_with, sees_frames};
use crate::model::{
    leaf::{LeafKind, LeafSize, Run},
    vma::VmaKind,
};

const K4: usize = 4096;
const M2: usize = 2 << 20;
const GUARD_INSTALL: libc::c_int = 102;

type Shape = (u64, LeafSize, u64, LeafKind);

/// One test at a time: each reads all memory of this process, also what the others have mapped.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runs in a range, addresses from its start.
fn runs(source: Source, range: &Range<u64>) -> Vec<Shape> {
    whole_runs(source, range)
        .iter()
        .map(|run| (run.start - range.start, run.size, run.count, run.kind))
        .collect()
}

fn whole_runs(source: Source, range: &Range<u64>) -> Vec<Run> {
    let answer = read_with(process::id(), true, source).unwrap();
    for (vma, runs) in &answer.maps {
        let mut at = vma.start;
        for run in runs {
            assert_eq!(run.start, at, "{source:?}: a gap or an overlap in {vma:?}");
            assert_eq!(run.start % run.size.bytes(), 0, "{run:?}");
            assert!(run.count > 0);
            at = run.end();
        }
        assert_eq!(at, vma.end);
    }
    let inside = |run: &Run| range.start <= run.start && run.end() <= range.end;
    answer.maps.into_iter().flat_map(|(_, runs)| runs).filter(inside).collect()
}

fn sources() -> Vec<Source> {
    let mut sources = vec![Source::Entries];
    if Abilities::find().is_some() {
        sources.push(Source::Scan);
    } else {
        println!("skipped PAGEMAP_SCAN: this kernel does not have it");
    }
    sources
}

#[test]
fn touched_pages_holes_and_zero_pages() {
    let _alone = alone();
    let area = Area::anonymous(64 * K4, K4);
    area.advise(0, 64 * K4, libc::MADV_NOHUGEPAGE).unwrap();
    for page in [0, 1, 2, 5] {
        area.write(page * K4);
    }
    for page in 8..10 {
        area.read(page * K4);
    }
    for source in sources() {
        let zero = if source == Source::Scan || sees_frames() {
            LeafKind::Zero
        } else {
            println!("skipped zero pages: no CAP_SYS_ADMIN");
            LeafKind::Present
        };
        assert_eq!(
            runs(source, &area.range()),
            [
                (0, LeafSize::BASE, 3, LeafKind::Present),
                (0x3000, LeafSize::BASE, 2, LeafKind::Hole),
                (0x5000, LeafSize::BASE, 1, LeafKind::Present),
                (0x6000, LeafSize::BASE, 2, LeafKind::Hole),
                (0x8000, LeafSize::BASE, 2, zero),
                (0xa000, LeafSize::BASE, 54, LeafKind::Hole),
            ],
            "{source:?}"
        );
        let first = whole_runs(source, &area.range())[0];
        assert!(first.marks.is_some_and(|marks| marks.uffd_wp == 0 && marks.soft_dirty <= 3));
    }
}

#[test]
fn transparent_huge_pages_whole_and_split() {
    let _alone = alone();
    let area = Area::anonymous(4 * M2, M2);
    if area.advise(0, 4 * M2, libc::MADV_HUGEPAGE).is_err() {
        println!("skipped: no transparent huge pages");
        return;
    }
    // Block 0 huge, 1 empty, 2 the huge zero page, 3 huge with a page dropped: mapped by PTEs.
    area.write(0);
    area.read(2 * M2);
    area.write(3 * M2);
    area.advise(3 * M2 + 16 * K4, K4, libc::MADV_DONTNEED).unwrap();
    let pages = M2 as u64;
    for source in sources() {
        let mut seen = runs(source, &area.range());
        if seen.first().is_some_and(|run| run.1 == LeafSize::BASE) {
            println!("skipped: the kernel gave no huge page");
            return;
        }
        if source == Source::Entries && !sees_frames() {
            println!("skipped the huge zero page: no CAP_SYS_ADMIN");
            seen.remove(2);
            continue;
        }
        assert_eq!(
            seen,
            [
                (0, LeafSize::PMD, 1, LeafKind::Present),
                (pages, LeafSize::BASE, 512, LeafKind::Hole),
                (2 * pages, LeafSize::PMD, 1, LeafKind::Zero),
                (3 * pages, LeafSize::BASE, 16, LeafKind::Present),
                (3 * pages + 0x1_0000, LeafSize::BASE, 1, LeafKind::Hole),
                (3 * pages + 0x1_1000, LeafSize::BASE, 495, LeafKind::Present),
            ],
            "{source:?}"
        );
    }
}

#[test]
fn a_huge_folio_mapped_by_base_pages_is_shown_by_its_leaves() {
    let _alone = alone();
    let area = Area::anonymous(M2, M2);
    let _ = area.advise(0, M2, libc::MADV_HUGEPAGE);
    area.write(0);
    // Splits the PMD and not the folio: the pages stay neighbours.
    area.protect_none(0, K4);
    let range = area.start() + K4 as u64..area.range().end;
    for source in sources() {
        let none = runs(source, &(area.start()..range.start));
        assert_eq!(none, [(0, LeafSize::BASE, 1, LeafKind::ProtNone)], "{source:?}");
        let rest = runs(source, &range);
        if rest == [(0, LeafSize::BASE, 511, LeafKind::Hole)] {
            println!("skipped: the kernel gave no huge page");
            return;
        }
        assert_eq!(rest, [(0, LeafSize::BASE, 511, LeafKind::Present)], "{source:?}");
    }
}

#[test]
fn prot_none() {
    let _alone = alone();
    let area = Area::anonymous(8 * K4, K4);
    for page in 0..4 {
        area.write(page * K4);
    }
    area.protect_none(0, 8 * K4);
    for source in sources() {
        let expected = [
            (0, LeafSize::BASE, 4, LeafKind::ProtNone),
            (0x4000, LeafSize::BASE, 4, LeafKind::Hole),
        ];
        assert_eq!(runs(source, &area.range()), expected, "{source:?}");
    }
}

#[test]
fn a_page_of_zeroes_that_traps_is_one() {
    let _alone = alone();
    let area = Area::anonymous(4 * K4, K4);
    area.read(K4);
    area.protect_none(0, 4 * K4);
    for source in sources() {
        if source != Source::Scan && !sees_frames() {
            println!("skipped zero pages: no CAP_SYS_ADMIN");
            continue;
        }
        let at = |run: &Shape| run.0 == 0x1000;
        let kinds: Vec<_> =
            runs(source, &area.range()).into_iter().filter(at).map(|run| run.3).collect();
        assert_eq!(kinds, [LeafKind::Zero], "{source:?}");
    }
}

#[test]
fn guard_regions() {
    let _alone = alone();
    let area = Area::anonymous(8 * K4, K4);
    area.write(0);
    if area.advise(2 * K4, 3 * K4, GUARD_INSTALL).is_err() {
        println!("skipped: no guard regions (Linux 6.13)");
        return;
    }
    for source in sources() {
        let expected = [
            (0, LeafSize::BASE, 1, LeafKind::Present),
            (0x1000, LeafSize::BASE, 1, LeafKind::Hole),
            (0x2000, LeafSize::BASE, 3, LeafKind::Guard),
            (0x5000, LeafSize::BASE, 3, LeafKind::Hole),
        ];
        assert_eq!(runs(source, &area.range()), expected, "{source:?}");
    }
}

#[test]
fn shared_memory() {
    let _alone = alone();
    let area = Area::shared(8 * K4);
    area.write(0);
    area.read(3 * K4);
    for source in sources() {
        let answer = read_with(process::id(), false, source).unwrap();
        let (vma, runs) = answer.maps.iter().find(|(vma, _)| vma.start == area.start()).unwrap();
        assert_eq!(vma.kind, VmaKind::Shmem);
        assert_eq!(runs[0].kind, LeafKind::Present);
        assert!(runs.iter().all(|run| run.marks.is_none()));
    }
}

/// Fragmented so that one call of PAGEMAP_SCAN reports 512 regions, and 513, and many more.
#[test]
fn regions_at_the_edges_of_a_call_count_once() {
    let _alone = alone();
    for touched in [511, 512, 513, 1023, 1024, 1025, 2000] {
        let area = Area::anonymous(2 * touched * K4, K4);
        area.advise(0, 2 * touched * K4, libc::MADV_NOHUGEPAGE).unwrap();
        for page in 0..touched {
            area.write(2 * page * K4);
        }
        for source in sources() {
            let runs = runs(source, &area.range());
            assert_eq!(runs.len(), 2 * touched, "{source:?}");
            assert!(runs.iter().all(|run| run.2 == 1));
            assert!(runs.iter().step_by(2).all(|run| run.3 == LeafKind::Present));
        }
    }
}

#[test]
fn sparse_memory_takes_few_runs_and_little_time() {
    let _alone = alone();
    let len = 1 << 40;
    let area = Area::anonymous(len, M2);
    area.advise(0, len, libc::MADV_NOHUGEPAGE).unwrap();
    if !sources().contains(&Source::Scan) {
        return;
    }
    area.write(len / 2);
    let runs = runs(Source::Scan, &area.range());
    let kinds: Vec<_> = runs.iter().map(|run| run.3).collect();
    assert_eq!(kinds, [LeafKind::Hole, LeafKind::Present, LeafKind::Hole]);
    assert_eq!(runs[1].0, (len / 2) as u64);
    assert_eq!(runs.iter().map(|run| run.2).sum::<u64>(), (len / K4) as u64);
}

#[test]
fn untouched_hugetlb_is_a_hole_and_has_its_kind_without_any_pool() {
    let _alone = alone();
    for size in crate::kernel::vmas::devices::hugetlb_sizes() {
        let shift = u32::from(size.shift());
        let Ok(area) = Area::hugetlb(1 << shift, shift, false) else { continue };
        for source in sources() {
            let answer = read_with(process::id(), false, source).unwrap();
            let (vma, runs) =
                answer.maps.iter().find(|(vma, _)| vma.start == area.start()).unwrap();
            assert_eq!(vma.kind, VmaKind::Hugetlb(size));
            let run = &runs[0];
            let pages = 1_u64 << (shift - 12);
            assert_eq!((run.size, run.count, run.kind), (LeafSize::BASE, pages, LeafKind::Hole));
        }
    }
}

/// Puts the number of 2M pages back when it is dropped.
struct Pool(String);

impl Pool {
    const FILE: &'static str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

    fn with_two_more() -> Option<Self> {
        let before = fs::read_to_string(Self::FILE).ok()?;
        let count: u64 = before.trim().parse().ok()?;
        let pool = Self(before);
        fs::write(Self::FILE, (count + 2).to_string()).ok()?;
        let now: u64 = fs::read_to_string(Self::FILE).ok()?.trim().parse().ok()?;
        (now >= count + 2).then_some(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = fs::write(Self::FILE, &self.0);
    }
}

#[test]
fn touched_hugetlb() {
    let _alone = alone();
    let Some(_pool) = Pool::with_two_more() else {
        println!("skipped: no pool of hugetlb pages can be had");
        return;
    };
    let Ok(area) = Area::hugetlb(3 * M2, 21, false) else {
        println!("skipped: no hugetlb mapping");
        return;
    };
    area.write(M2);
    for source in sources() {
        let expected = [
            (0, LeafSize::BASE, 512, LeafKind::Hole),
            (M2 as u64, LeafSize::PMD, 1, LeafKind::Present),
            (2 * M2 as u64, LeafSize::BASE, 512, LeafKind::Hole),
        ];
        assert_eq!(runs(source, &area.range()), expected, "{source:?}");
    }
}

#[test]
fn both_sources_agree_on_another_process() {
    let _alone = alone();
    let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let shapes: Vec<Vec<_>> = sources()
        .into_iter()
        .map(|source| {
            let answer = read_with(child.id(), true, source).unwrap();
            assert!(!answer.precision.is_empty());
            let of_vma = |runs: Vec<Run>| {
                runs.iter()
                    .map(|run| (run.start, run.size, run.count, run.kind))
                    .collect::<Vec<_>>()
            };
            answer.maps.into_iter().flat_map(|(_, runs)| of_vma(runs)).collect()
        })
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    if sees_frames() {
        assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn errors() {
    let _alone = alone();
    assert!(matches!(read(u32::MAX, false), Err(Error::NoProcess { .. })));
    if fs::read("/proc/2/cmdline").is_ok_and(|text| text.is_empty()) {
        let error = read(2, false).unwrap_err();
        assert!(matches!(error, Error::NoAddressSpace { pid: 2 } | Error::Denied { .. }));
    }
}

/// However the mappings change meanwhile, `whole_runs` finds every VMA covered and no run invalid.
#[test]
fn a_process_that_changes_all_the_time() {
    let _alone = alone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let area = Area::anonymous(2 * M2, M2);
                let _ = area.advise(0, 2 * M2, libc::MADV_HUGEPAGE);
                area.write(0);
                area.protect_none(M2 / 2, K4);
                area.write(M2);
            }
        });
        let reads = || {
            for _ in 0..50 {
                for source in sources() {
                    whole_runs(source, &(0..u64::MAX));
                }
            }
        };
        let result = std::panic::catch_unwind(reads);
        stop.store(true, Ordering::Relaxed);
        assert!(result.is_ok());
    });
}

#[test]
fn exec_is_noticed() {
    let _alone = alone();
    // The shell waits for a line, and then becomes another program.
    let mut child = process::Command::new("sh")
        .args(["-c", "read line; exec sleep 60"])
        .stdin(process::Stdio::piped())
        .spawn()
        .unwrap();
    let list = crate::kernel::vmas::list(child.id(), false).unwrap();
    assert!(list.space().is_alive());
    drop(child.stdin.take());
    let ended = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        !list.space().is_alive()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ended);
}
