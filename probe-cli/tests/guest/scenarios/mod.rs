//! Scenarios: operations in, transactions and map out. One file for each kind of operation.
//!
//! A line is one of these; what stands behind `#` is a comment. Lengths are `4K`, `2M`, `1G`.
//!
//! | line | meaning |
//! |---|---|
//! | `needs WORD` | what the kernel must have; else the scenario is ignored |
//! | `KIND NAME LENGTH` | an area: `base`, `huge`, `hugetlb2M`, `hugetlb1G`, `hugetlb-shared` (with a second one, `NAME2`), `shared`, `shmem-huge`, `stack` (its last page grows downwards), `device` (memory of a PCI device) |
//! | `VERB NAME OFFSET LENGTH [MORE]` | an operation on a part of an area |
//! | `watch` | what comes before is the beginning; what comes behind is watched |
//! | `hurry-khugepaged` | khugepaged works all the time until the end |
//! | `folios` | faults get folios of 64 KiB until the end |
//! | `ksm-zero` | ksmd merges with the page of zeroes until the end |
//! | `hurry-ksmd` | ksmd works all the time until the end |
//! | `on-node 0` | what comes behind runs on the first memory node |
//! | `shrink` | the kernel's shrinkers run until a folio has been split |
//! | `swapoff` | the swap space goes away |
//! | `await NAME OFFSET LENGTH STATE` | waits until this stands there |
//! | `await CAUSE NAME` | waits until an operation on an area is told |
//! | `also CAUSE` | its operations are told even when they changed no leaf |
//! | `read-it` | what has been marked is read: the effects of what comes before are told apart from later ones |
//! | `expect CAUSE by ACTOR: CHANGES` | the next transaction, or several that did the same; `expect@6.1,6.12` on these kernels only |
//! | `map NAME: STATE LENGTH, ...` | what stands in the area at the end; `map@6.1,6.12` on these kernels only |
//!
//! Every operation that is told must be a row of what `walkprobe top` draws of its VMA, too.

mod machine;
mod stage;
mod told;

use std::{
    process,
    sync::{Mutex, PoisonError},
};

use libtest_mimic::{Failed, Trial};
use walkprobe::{probe::RING_BYTES, track::map::Tracked};

use self::stage::Stage;
use crate::{
    memory::{PMD, PUD},
    need::{self, Lack},
    uffd::Feature,
    watcher::Watcher,
};

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!($name, ".txt")))),*]
    };
}

pub(crate) fn trials() -> Vec<Trial> {
    scenarios![
        "fault-base",
        "fault-thp",
        "fault-file",
        "fault-hugetlb",
        "fault-hugetlb-1g",
        "fault-shmem-thp",
        "fault-zero",
        "fault-folio",
        "fault-device",
        "populate",
        "copy-on-write",
        "copy-on-write-thp",
        "split-file",
        "split-mprotect",
        "split-munmap",
        "split-dontneed",
        "split-mlock",
        "collapse-madvise",
        "collapse-file",
        "zap-dontneed",
        "zap-munmap",
        "zap-remove",
        "zap-truncate",
        "free",
        "protect",
        "move",
        "fork",
        "migrate",
        "reclaim",
        "swap-in",
        "guard",
        "uffd-copy",
        "uffd-protect",
        "uffd-move",
        "map-fixed",
        "hugetlb-zap",
        "hugetlb-share",
        "hugetlb-unshare",
        "numa-fault",
        "folio-split",
        "deferred-split",
        "truncate-folio",
        "ksm-merge",
        "ksm-unmerge",
        "ksm-zero",
        "swapoff",
        "vma-split",
        "vma-merge",
        "vma-resize",
        "vma-grow",
        // The last one: khugepaged goes on for a while.
        "collapse-khugepaged",
    ]
    .into_iter()
    .map(|(name, text)| {
        let lack = lines(text).filter_map(|line| line.strip_prefix("needs ")).find_map(need);
        trial(name, lack, move || play(text))
    })
    .chain([trial("a_replay_makes_the_same_map", None, replay)])
    .collect()
}

fn trial(
    name: &str,
    lack: Lack,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let lack = need::loops().or_else(|| need::a_guest("it needs functions to be probed")).or(lack);
    Trial::test(format!("scenario::{name}"), test)
        .with_ignored_flag(lack.is_some())
        .with_kind(lack.unwrap_or_default())
}

/// One watches this process for all scenarios, because to attach takes longer than they do.
static WATCHER: Mutex<Option<Watcher>> = Mutex::new(None);

/// The map of this process, when everything has been read; the first time it begins to be watched.
fn map() -> Result<Tracked, Failed> {
    let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(watcher) = watcher.as_mut() {
        return watcher.map();
    }
    let begun = watcher.insert(Watcher::begin(vec![process::id()], RING_BYTES));
    begun.watch(process::id())?;
    begun.map()
}

/// Ends the watching, and makes the map anew from what was recorded.
fn replay() -> Result<(), Failed> {
    let watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner).take();
    // A filter left no scenario before this one.
    let Some(mut watcher) = watcher else { return Ok(()) };
    watcher.leave().map(drop)
}

fn need(word: &str) -> Lack {
    match word {
        "thp" => need::thp(),
        "swap" => need::swap(),
        "nodes" => need::nodes(),
        "hints" => need::hints(),
        "ksm" => need::ksm(),
        "uffd-shared" => need::userfaultfd(&[Feature::PagefaultFlagWp, Feature::WpHugetlbfsShmem]),
        "uffd-move" => need::userfaultfd(&[Feature::Move]),
        "folios" => need::small_thp(),
        "device" => need::device(),
        "guard" => need::guard(),
        "uffd" => need::userfaultfd(&[Feature::PagefaultFlagWp]),
        "hugetlb2M" => need::hugetlb(PMD, 4),
        "hugetlb1G" => need::hugetlb(PUD, 1),
        _ => Some(format!("an unknown need: {word}")),
    }
}

/// The lines that say something.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or("").trim())
        .filter(|line| !line.is_empty())
}

fn play(text: &str) -> Result<(), Failed> {
    let mut stage = Stage::default();
    for line in lines(text) {
        stage.line(line).map_err(|failed| -> Failed {
            format!("{line}: {}", failed.message().unwrap_or_default()).into()
        })?;
    }
    stage.end()
}
