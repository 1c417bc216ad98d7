//! The walkers as data: how each is driven, and which calls that makes. Adding one is adding a row.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{fd::AsFd as _, unix::fs::FileExt as _},
};

use super::{
    super::{
        error::{StepError, Unavailable},
        memory::{Ground, Kind, failed},
        nodes,
        sys::{Advice, SleepingChild},
    },
    Expected, Outcome,
    space::{Land, Leaves, Place},
    sys,
};
use crate::{
    clock,
    event::Path,
    pagemap::scan::{Scanner, category},
    walk::site::Level,
};

/// A walker that can be driven.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// Its name in the registry.
    pub walker: &'static str,
    /// What a round does, in a line.
    pub about: &'static str,
    round: fn(&Land, &Ground) -> Result<(), StepError>,
    expected: fn(&Place) -> Vec<Expected>,
    /// Which areas it takes.
    takes: fn(&Place) -> bool,
    /// It walks the rest of the process too.
    whole: bool,
}

const ALL: fn(&Place) -> bool = |_| true;
const GENERIC: fn(&Place) -> bool = |place| !place.is_hugetlb();
const ANONYMOUS: fn(&Place) -> bool = |place| place.private && !place.is_hugetlb();
/// Gigantic pages have no room on the other node, and a THP that tables of PTEs map is split when it moves.
const MOVABLE: fn(&Place) -> bool = |place| {
    let is_split = place.leaves == Leaves::Ptes && place.area.unit() > sys::page();
    place.level() != Level::Pud && !is_split
};
const BASE: fn(&Place) -> bool =
    |place| ANONYMOUS(place) && place.full && place.leaves == Leaves::Ptes;

/// Every walker that can be driven, in the order in which they are; those that take memory away come last.
pub const DRIVERS: &[Driver] = &[
    Driver {
        walker: "smaps",
        about: "reads /proc/self/smaps",
        round: |_, _| read_by_vma("/proc/self/smaps"),
        expected: |place| callback("smaps", place, 1),
        takes: ALL,
        whole: true,
    },
    Driver {
        walker: "numa_maps",
        about: "reads /proc/self/numa_maps",
        round: |_, _| read_by_vma("/proc/self/numa_maps"),
        expected: |place| callback("numa_maps", place, 1),
        takes: ALL,
        whole: true,
    },
    Driver {
        walker: "clear_refs",
        about: "writes 1 to /proc/self/clear_refs: pages are marked as not accessed",
        round: |_, _| clear_refs(),
        expected: |place| callback("clear_refs", place, 1),
        takes: GENERIC,
        whole: true,
    },
    Driver {
        walker: "pagemap",
        about: "reads the entries of /proc/self/pagemap, one PMD entry's worth at a time",
        round: pagemap,
        // `PAGEMAP_WALK_SIZE` (fs/proc/task_mmu.c).
        expected: |place| callback("pagemap", place, 2 << 20),
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "pagemap_scan",
        about: "ioctl PAGEMAP_SCAN for what is present",
        round: |land, _| pagemap_scan(land),
        expected: |place| callback("pagemap_scan", place, 1),
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "mempolicy",
        about: "mbind to all nodes with MPOL_MF_STRICT, which moves nothing",
        round: |land, _| each(land, ALL, |place| call("mbind", place, sys::bind(&place.range()))),
        expected: |place| callback("mempolicy", place, 1),
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "mincore",
        about: "mincore",
        round: |land, _| mincore(land),
        // As many pages as there are bytes in a page (mm/mincore.c, `do_mincore`).
        expected: |place| callback("mincore", place, 16 << 20),
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "move_pages",
        about: "move_pages asks for the node of a page in what each PMD entry maps",
        round: |land, _| move_pages(land),
        expected: |place| vec![of_vma("move_pages", place, place.pmds(), place.pmds())],
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "rmap_migrate",
        about: "move_pages moves everything to another memory node, and back",
        round: |land, _| migrate(land),
        expected: |place| {
            let moves = 2 * place.folios().count() as u64;
            vec![
                of_vma("rmap_migrate", place, moves, 0),
                of_vma("rmap_restore", place, moves, 0),
                // Each page that is to move is looked up, and one more to learn where they are.
                of_vma("move_pages", place, moves + 1, moves + 1),
            ]
        },
        takes: MOVABLE,
        whole: false,
    },
    Driver {
        walker: "cold",
        about: "MADV_COLD",
        round: |land, _| advise(land, GENERIC, Advice::Cold),
        expected: |place| callback("cold", place, 1),
        takes: GENERIC,
        whole: false,
    },
    Driver {
        walker: "free",
        about: "MADV_FREE",
        round: |land, _| advise(land, ANONYMOUS, Advice::Free),
        expected: |place| callback("free", place, 1),
        takes: ANONYMOUS,
        whole: false,
    },
    Driver {
        walker: "willneed",
        about: "MADV_WILLNEED",
        round: |land, _| advise(land, ANONYMOUS, Advice::WillNeed),
        expected: |place| callback("willneed", place, 1),
        takes: ANONYMOUS,
        whole: false,
    },
    Driver {
        walker: "mlock",
        about: "mlock and munlock: a walk each, and the first one populates",
        round: |land, _| mlock(land),
        expected: |place| {
            let mut all = vec![of_vma("populate", place, 1, units(place)), untold("gup", 1)];
            if !place.is_hugetlb() {
                all.extend(callback("mlock", place, 1).into_iter().map(|walk| times(walk, 2)));
            }
            all
        },
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "populate_advice",
        about: "MADV_POPULATE_READ",
        round: |land, _| advise(land, ALL, Advice::Populate),
        expected: |_| vec![untold("populate_advice", 1), untold("gup", 1)],
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "gup",
        about: "process_vm_readv of a byte in what each PMD entry maps",
        round: |land, _| gup(land),
        expected: |place| vec![untold("gup", place.pmds())],
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "gup_fast",
        about: "vmsplice of a page in what each PMD entry maps",
        round: |land, _| gup_fast(land),
        expected: |place| vec![untold("gup_fast", place.pmds())],
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "protect",
        about: "mprotect to read-only, and back",
        round: |land, _| protect(land),
        expected: |place| vec![of_vma("protect", place, 2, 2 * units(place))],
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "fork",
        about: "forks a child",
        round: |_, _| SleepingChild::new().map(drop).map_err(StepError::Fork),
        expected: |place| vec![of_vma("fork", place, 1, units(place))],
        takes: Place::is_hugetlb,
        whole: false,
    },
    Driver {
        walker: "zap",
        about: "MADV_DONTNEED, and touches everything again",
        round: |land, _| zap(land),
        expected: |place| vec![of_vma("zap", place, 1, units(place))],
        takes: ALL,
        whole: false,
    },
    Driver {
        walker: "guard_install",
        about: "MADV_GUARD_INSTALL, and removes them again",
        round: |land, _| guard(land),
        expected: |place| {
            let pages = (place.range().len() / sys::page()) as u64;
            ["guard_install", "guard_remove"]
                .map(|walker| generic(walker, Level::Pte, pages, pages))
                .to_vec()
        },
        takes: BASE,
        whole: false,
    },
    Driver {
        walker: "mremap",
        about: "mremap to another place, and back",
        round: mremap,
        expected: |place| vec![generic("mremap", Level::Any, if place.private { 2 } else { 0 }, 0)],
        takes: ANONYMOUS,
        whole: false,
    },
];

impl Driver {
    /// It goes over the rest of the process, too.
    #[must_use]
    pub const fn is_of_whole_process(&self) -> bool {
        self.whole
    }

    /// So many rounds over a space.
    pub(super) fn drive(&self, land: &Land, ground: &Ground, rounds: u64) -> Outcome {
        let mut outcome =
            Outcome { walker: self.walker, skipped: None, ns: 0, expected: Vec::new() };
        if !self.whole && !land.places.iter().any(self.takes) && self.walker != "fork" {
            outcome.skipped = Some("it does not concern this space".to_owned());
            return outcome;
        }
        let begin = clock::monotonic();
        for _ in 0..rounds {
            if let Err(error) = (self.round)(land, ground) {
                outcome.skipped = Some(error.to_string());
                return outcome;
            }
        }
        outcome.ns = clock::monotonic().saturating_sub(begin);
        let all = land.places.iter().filter(|place| (self.takes)(place)).flat_map(self.expected);
        let forked = (self.walker == "fork").then(generic_vmas).flatten();
        for expected in all.chain(forked) {
            let more = times(Expected { whole: expected.whole || self.whole, ..expected }, rounds);
            let alike = |sum: &&mut Expected| {
                (sum.walker, sum.path, sum.level) == (more.walker, more.path, more.level)
            };
            match outcome.expected.iter_mut().find(alike) {
                Some(sum) => {
                    sum.calls += more.calls;
                    sum.leaves += more.leaves;
                }
                None => outcome.expected.push(more),
            }
        }
        outcome
    }
}

/// A fork is a call for each VMA of the process (`dup_mmap`): here those of generic mm.
fn generic_vmas() -> Option<Expected> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    // The last one is shown beside the VMAs, and is none of them.
    let others = ["/anon_hugepage", "[vsyscall]"];
    let vmas = maps.lines().filter(|line| !others.iter().any(|other| line.contains(other)));
    let calls = vmas.count() as u64;
    Some(Expected { whole: true, ..generic("fork", Level::Any, calls, 0) })
}

fn times(expected: Expected, number: u64) -> Expected {
    let (calls, leaves) = (expected.calls * number, expected.leaves * number);
    Expected { calls, leaves, ..expected }
}

fn generic(walker: &'static str, level: Level, calls: u64, leaves: u64) -> Expected {
    Expected { walker, path: Some(Path::Generic), level, calls, leaves, whole: false }
}

fn untold(walker: &'static str, calls: u64) -> Expected {
    Expected { walker, path: None, level: Level::Any, calls, leaves: 0, whole: false }
}

/// The pages of an area, of its own size.
fn units(place: &Place) -> u64 {
    place.area.units().count() as u64
}

/// A function that is given the VMA: of generic mm it does not tell the level.
fn of_vma(walker: &'static str, place: &Place, calls: u64, leaves: u64) -> Expected {
    if place.is_hugetlb() {
        let path = Some(Path::Hugetlb);
        return Expected { walker, path, level: place.level(), calls, leaves, whole: false };
    }
    // Of generic mm only a look-up of one leaf tells how many there are.
    let leaves = if walker == "move_pages" { leaves } else { 0 };
    generic(walker, Level::Any, calls, leaves)
}

/// Callbacks of a walk over the whole area: one for each PMD entry, or for each hugetlb page; where the walk goes by
/// pieces of so many bytes, one for each piece of a page.
fn callback(walker: &'static str, place: &Place, piece: usize) -> Vec<Expected> {
    let pmds = place.pmds();
    vec![match place.leaves {
        Leaves::Ptes => {
            let entries = place.range().len() / sys::page();
            generic(walker, Level::Pte, pmds, entries as u64)
        }
        Leaves::Pmds => generic(walker, Level::Pmd, pmds, pmds),
        Leaves::Hugetlb(size) => {
            let pieces = if piece > 1 { size.div_ceil(piece) } else { 1 };
            let calls = units(place) * pieces as u64;
            of_vma(walker, place, calls, calls)
        }
    }]
}

fn each(
    land: &Land,
    takes: fn(&Place) -> bool,
    act: impl FnMut(&Place) -> Result<(), StepError>,
) -> Result<(), StepError> {
    land.places.iter().filter(|place| takes(place)).try_for_each(act)
}

fn call(name: &'static str, place: &Place, result: io::Result<()>) -> Result<(), StepError> {
    result.map_err(failed(name, &place.range()))
}

fn advise(land: &Land, takes: fn(&Place) -> bool, advice: Advice) -> Result<(), StepError> {
    each(land, takes, |place| place.area.advise(&place.range(), advice))
}

/// Reads so little at a time that every read ends after one VMA, which is walked once; see `steps/walk.rs`. A line of
/// numa_maps can be short: it is read byte by byte.
fn read_by_vma(path: &'static str) -> Result<(), StepError> {
    let failed = |source| StepError::File { path, source };
    let mut buffer = [0_u8; 512];
    let room = if path.ends_with("numa_maps") { 1 } else { buffer.len() };
    let mut file = File::open(path).map_err(failed)?;
    while file.read(&mut buffer[..room]).map_err(failed)? > 0 {}
    Ok(())
}

fn clear_refs() -> Result<(), StepError> {
    const PATH: &str = "/proc/self/clear_refs";
    let failed = |source| StepError::File { path: PATH, source };
    OpenOptions::new().write(true).open(PATH).map_err(failed)?.write_all(b"1").map_err(failed)
}

const PAGEMAP: &str = "/proc/self/pagemap";

/// Room for what the kernel writes, whose pages are there: a fault in the middle of a walk would be a part of it.
fn written(length: usize) -> Vec<u8> {
    vec![u8::MAX; length]
}

fn pagemap(land: &Land, ground: &Ground) -> Result<(), StepError> {
    let failed = |source| StepError::File { path: PAGEMAP, source };
    let file = File::open(PAGEMAP).map_err(failed)?;
    let page = ground.machine.page;
    let mut entries = written(ground.machine.pages_per_pmd() * 8);
    for piece in land.places.iter().flat_map(|place| place.area.pmds()) {
        let entries = entries.get_mut(..piece.len() / page * 8).unwrap_or_default();
        file.read_exact_at(entries, (piece.start / page * 8) as u64).map_err(failed)?;
    }
    Ok(())
}

fn pagemap_scan(land: &Land) -> Result<(), StepError> {
    let failed = |source| StepError::File { path: PAGEMAP, source };
    let file = File::open(PAGEMAP).map_err(failed)?;
    let mut scanner = Scanner::requiring(category::PRESENT);
    each(land, ALL, |place| {
        let range = place.range();
        let range = range.start as u64..range.end as u64;
        scanner.scan(&file, range, |_| Ok(())).map_err(failed)
    })
}

fn mincore(land: &Land) -> Result<(), StepError> {
    each(land, ALL, |place| {
        let range = place.range();
        let mut vector = written(range.len().div_ceil(sys::page()));
        call("mincore", place, sys::mincore(&range, &mut vector))
    })
}

fn move_pages(land: &Land) -> Result<(), StepError> {
    each(land, ALL, |place| {
        let addresses: Vec<usize> = place.area.pmds().map(|pmd| pmd.start).collect();
        call("move_pages", place, nodes::of_pages(&addresses).map(drop))
    })
}

/// To another node and back, so that everything is where it was.
fn migrate(land: &Land) -> Result<(), StepError> {
    each(land, MOVABLE, |place| {
        let failed = failed("move_pages", &place.range());
        let folios: Vec<usize> = place.folios().collect();
        let first = folios.get(..1).unwrap_or_default();
        let Some(&here) = nodes::of_pages(first).map_err(failed)?.first() else { return Ok(()) };
        let there = nodes::another(here).ok_or(Unavailable::OneNode)?;
        for node in [there, here] {
            let now = nodes::move_to(&folios, node).map_err(failed)?;
            let stayed = now.iter().filter(|&&now| now != node).count();
            if stayed > 0 {
                return Err(StepError::Stayed { stayed, pages: folios.len() });
            }
        }
        Ok(())
    })
}

fn mlock(land: &Land) -> Result<(), StepError> {
    each(land, ALL, |place| {
        call("mlock", place, sys::lock(&place.range(), true))?;
        call("munlock", place, sys::lock(&place.range(), false))
    })
}

fn gup(land: &Land) -> Result<(), StepError> {
    each(land, ALL, |place| {
        let mut pmds = place.area.pmds();
        let result = pmds.try_for_each(|pmd| sys::read_remotely(pmd.start).map(drop));
        call("process_vm_readv", place, result)
    })
}

fn gup_fast(land: &Land) -> Result<(), StepError> {
    let mut page = vec![0; sys::page()];
    let (mut reader, writer) = io::pipe().map_err(StepError::Fork)?;
    each(land, ALL, |place| {
        let mut pmds = place.area.pmds();
        let result = pmds.try_for_each(|pmd| {
            sys::splice(pmd.start, writer.as_fd())?;
            reader.read_exact(&mut page)
        });
        call("vmsplice", place, result)
    })
}

fn protect(land: &Land) -> Result<(), StepError> {
    each(land, ALL, |place| {
        place.area.protect(&place.range())?;
        place.area.unprotect(&place.range())
    })
}

fn zap(land: &Land) -> Result<(), StepError> {
    each(land, ALL, |place| {
        let range = place.range();
        place.area.advise(&range, Advice::DontNeed)?;
        if place.leaves == Leaves::Pmds {
            // What is touched is to be a THP again, and to stay one.
            place.area.advise(&range, Advice::HugePage)?;
            place.area.write_all();
            return place.area.settle();
        }
        place.area.write_all();
        Ok(())
    })
}

/// Where pages are, they are taken away at first, and the walk begins anew.
fn guard(land: &Land) -> Result<(), StepError> {
    advise(land, BASE, Advice::GuardInstall)?;
    advise(land, BASE, Advice::GuardRemove)
}

/// What is moved leaves its VMA behind, empty (`MREMAP_DONTUNMAP`).
fn mremap(land: &Land, ground: &Ground) -> Result<(), StepError> {
    each(land, ANONYMOUS, |place| {
        let pages = place.range().len() / sys::page();
        let other = ground.area(Kind::Base, pages)?;
        place.area.move_to(&place.range(), &other, &other.range())?;
        other.move_to(&other.range(), &place.area, &place.range())
    })
}
