//! Scenarios: operations in, transactions and map out. One file for each kind of operation.
//!
//! A line is one of these; what stands behind `#` is a comment. Lengths are `4K`, `2M`, `1G`.
//!
//! | line | meaning |
//! |---|---|
//! | `needs WORD` | what the kernel must have; else the scenario is ignored |
//! | `KIND NAME LENGTH` | an area: `base`, `huge`, `hugetlb2M`, `hugetlb1G`, `shared`, `file` |
//! | `VERB NAME OFFSET LENGTH [MORE]` | an operation on a part of an area |
//! | `watch` | what comes before is the beginning; what comes behind is watched |
//! | `hurry-khugepaged` | khugepaged works all the time until the end |
//! | `await NAME OFFSET LENGTH STATE` | waits until this stands there |
//! | `read-it` | what has been marked is read: the effects of what comes before are told apart from later ones |
//! | `expect CAUSE by ACTOR: CHANGES` | the next transaction, or several that did the same; `expect@6.1,6.12` on these kernels only |
//! | `map NAME: STATE LENGTH, ...` | what stands in the area at the end |

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::fd::AsFd as _,
    process,
    sync::{Mutex, PoisonError},
};

use libtest_mimic::{Failed, Trial};
use walkprobe::{
    maps::history,
    model::diff::State,
    probe::RING_BYTES,
    track::{log::Transaction, map::Tracked},
    units,
};

use crate::{
    child::until,
    files,
    live::Watcher,
    memory::{Area, Backing, PAGE, PMD, PUD},
    need::{self, Lack},
    nodes,
    run::{ensure, guest},
    setting::Setting,
    swap::{Swap, page_out},
    uffd::{Feature, Uffd},
};

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("scenarios/", $name, ".txt")))),*]
    };
}

pub(crate) fn trials() -> Vec<Trial> {
    scenarios![
        "fault-base",
        "fault-thp",
        "fault-file",
        "fault-hugetlb",
        "fault-zero",
        "copy-on-write",
        "split-mprotect",
        "split-munmap",
        "split-dontneed",
        "collapse-khugepaged",
        "collapse-madvise",
        "zap-dontneed",
        "zap-munmap",
        "zap-truncate",
        "protect",
        "move",
        "fork",
        "migrate",
        "reclaim",
        "swap-in",
        "guard",
        "uffd-copy",
        "uffd-protect",
        "map-fixed",
        "hugetlb-zap",
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
    if watcher.is_none() {
        *watcher = Some(Watcher::begin(process::id(), RING_BYTES)?);
    }
    watcher.as_ref().ok_or("nobody watches")?.map()
}

/// Ends the watching, and makes the map anew from what was recorded.
fn replay() -> Result<(), Failed> {
    let watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner).take();
    // A filter left no scenario before this one.
    let Some(watcher) = watcher else { return Ok(()) };
    watcher.end().map(drop)
}

fn need(word: &str) -> Lack {
    match word {
        "thp" => need::thp(),
        "swap" => need::swap(),
        "nodes" => need::nodes(),
        "guard" => need::guard(),
        "uffd" => need::userfaultfd(&[Feature::PagefaultFlagWp]),
        "hugetlb2M" => need::hugetlb(PMD, 4),
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

/// What has been made so far.
#[derive(Default)]
struct Stage {
    areas: BTreeMap<String, Area>,
    files: BTreeMap<String, File>,
    uffds: Vec<Uffd>,
    settings: Vec<Setting>,
    _swap: Option<Swap>,
    /// The number of the last transaction before the beginning.
    before: Option<u64>,
    expected: Vec<String>,
    maps: Vec<(String, String)>,
}

impl Stage {
    fn line(&mut self, line: &str) -> Result<(), Failed> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["needs", "swap"] => self._swap = Some(Swap::on()?),
            ["needs", _] => {}
            // khugepaged looks at all that it may at once.
            ["hurry-khugepaged"] => {
                let folder = "/sys/kernel/mm/transparent_hugepage/khugepaged";
                for (file, value) in [("scan_sleep_millisecs", "10"), ("pages_to_scan", "100000")] {
                    self.settings.push(Setting::change(&format!("{folder}/{file}"), value)?);
                }
            }
            ["watch"] => self.before = Some(last(&map()?)),
            ["read-it"] => drop(map()?),
            ["map", name, ..] => {
                let (_, map) = line.split_once(": ").ok_or("no colon")?;
                self.maps.push((name.trim_end_matches(':').to_owned(), map.to_owned()));
            }
            [expect, ..] if expect.starts_with("expect") => {
                let (head, told) = line.split_once(' ').ok_or("nothing is expected")?;
                let kernels = head.split_once('@').map(|(_, kernels)| kernels);
                let here = guest().unwrap_or_default();
                if kernels.is_none_or(|kernels| kernels.split(',').any(|series| series == here)) {
                    self.expected.push(told.to_owned());
                }
            }
            [kind, name, length] => self.area(kind, name, bytes(length)?)?,
            [verb, name, offset, length, ref more @ ..] => {
                let start = bytes(offset)?;
                self.act(verb, name, start..start + bytes(length)?, more)?;
            }
            _ => return Err("not understood".into()),
        }
        Ok(())
    }

    fn area(&mut self, kind: &str, name: &str, length: usize) -> Result<(), Failed> {
        let area = match kind {
            "base" => Area::base(length)?,
            "huge" => Area::huge(length)?.ok_or("THP is switched off")?,
            "hugetlb2M" => Area::hugetlb(length, PMD)?.ok_or("the pool is empty")?,
            "hugetlb1G" => Area::hugetlb(length, PUD)?.ok_or("the pool is empty")?,
            "shared" => {
                let file = files::memfd(length, 0)?;
                let area = Area::new(length, Backing::Shared(file.as_fd()))?;
                self.files.insert(name.to_owned(), file);
                area
            }
            _ => return Err("no such kind of area".into()),
        };
        self.areas.insert(name.to_owned(), area);
        Ok(())
    }

    fn act(
        &mut self,
        verb: &str,
        name: &str,
        range: std::ops::Range<usize>,
        more: &[&str],
    ) -> Result<(), Failed> {
        let area = self.areas.get(name).ok_or("no such area")?;
        let other = |at: usize| more.get(at).and_then(|name| self.areas.get(*name));
        match verb {
            "write" => area.write(range),
            "read" => area.read(range),
            "forbid" => area.forbid(range)?,
            "protect" => area.protect(range, libc::PROT_READ)?,
            "advise" => area.advise(range, advice(more.first().copied().unwrap_or(""))?)?,
            "pageout" => page_out(area, range)?,
            "unmap" => area.unmap(range)?,
            "remap" => area.remap(range)?,
            "move" => area.move_to(range, other(0).ok_or("where to?")?)?,
            "migrate" => nodes::move_to(&area.part(range.clone()), PAGE.max(size(more)?), 1)?,
            "home" => nodes::move_to(&area.part(range.clone()), PAGE.max(size(more)?), 0)?,
            "truncate" => self.files.get(name).ok_or("no file")?.set_len(range.start as u64)?,
            "await" => self.wait_for(area, range, &more.join(" "))?,
            "fork" => fork()?,
            "guard" => area.guard(range)?,
            "uffd" => {
                let uffd = Uffd::to_protect(area, &[Feature::PagefaultFlagWp])?;
                self.uffds.push(uffd);
            }
            "uffd-copy" => {
                let uffd = self.uffds.last().ok_or("no userfaultfd")?;
                let length = range.len();
                uffd.copy(area, range, &other(0).ok_or("where from?")?.part(0..length))?;
            }
            "uffd-protect" => {
                self.uffds.last().ok_or("no userfaultfd")?.protect(area, range)?;
            }
            _ => return Err("no such operation".into()),
        }
        Ok(())
    }

    /// Waits until something stands in a part of an area.
    fn wait_for(
        &self,
        area: &Area,
        range: std::ops::Range<usize>,
        state: &str,
    ) -> Result<(), Failed> {
        let part = area.part(range).range();
        until(state, || {
            let pieces = map().ok()?.pieces(&part);
            pieces.iter().all(|(_, piece)| piece.state.to_string() == state).then_some(())
        })
    }

    /// Compares what was expected with what was seen.
    fn end(self) -> Result<(), Failed> {
        let before = self.before.ok_or("nothing was watched")?;
        let map = map()?;
        let told = self.told(&map, before);
        ensure(told == self.expected, || {
            format!(
                "transactions\n  {}\nand not\n  {}",
                told.join("\n  "),
                self.expected.join("\n  ")
            )
        })?;
        for (name, expected) in &self.maps {
            let area = self.areas.get(name).ok_or("no such area")?;
            let found = standing(&map, area);
            ensure(found == *expected, || format!("map {name}: {found}, and not {expected}"))?;
        }
        Ok(())
    }

    /// What changed leaves of the areas; transactions in a row that did the same stand together.
    fn told(&self, map: &Tracked, before: u64) -> Vec<String> {
        let is_ours = |one: &&Transaction| {
            one.number > before
                && !one.changes.is_empty()
                && self.areas.values().any(|area| one.concerns(&area.range()))
        };
        let mut told: Vec<(String, BTreeMap<(State, State), u64>)> = Vec::new();
        for one in map.transactions().iter().filter(is_ours) {
            let by = history::by(&one.cause, map.pid());
            let who = format!("{} by {by}", history::name(&one.cause));
            match told.last_mut() {
                Some((last, changes)) if *last == who && changes.keys().eq(one.changes.keys()) => {
                    for (change, bytes) in &one.changes {
                        *changes.entry(*change).or_default() += bytes;
                    }
                }
                _ => told.push((who, one.changes.clone())),
            }
        }
        let text = |(who, changes): (String, BTreeMap<(State, State), u64>)| {
            let changes: Vec<String> = changes
                .iter()
                .map(|((before, after), n)| format!("{before} -> {after}: {}", units::bytes(*n)))
                .collect();
            format!("{who}: {}", changes.join(", "))
        };
        told.into_iter().map(text).collect()
    }
}

fn last(map: &Tracked) -> u64 {
    map.transactions().back().map_or(0, |transaction| transaction.number)
}

/// What stands in an area: `4K 2M, hole 2M`.
fn standing(map: &Tracked, area: &Area) -> String {
    let mut runs: Vec<(State, u64)> = Vec::new();
    for (range, piece) in map.pieces(&area.range()) {
        let bytes = range.end - range.start;
        match runs.last_mut() {
            Some((state, sum)) if *state == piece.state => *sum += bytes,
            _ => runs.push((piece.state, bytes)),
        }
    }
    let text = |(state, bytes): &(State, u64)| format!("{state} {}", units::bytes(*bytes));
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn bytes(text: &str) -> Result<usize, Failed> {
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err("no such unit".into()),
    };
    Ok(number.parse::<usize>()? << shift)
}

fn size(more: &[&str]) -> Result<usize, Failed> {
    more.first().map_or(Ok(PAGE), |text| bytes(text))
}

fn advice(name: &str) -> Result<i32, Failed> {
    Ok(match name {
        "hugepage" => libc::MADV_HUGEPAGE,
        "nohugepage" => libc::MADV_NOHUGEPAGE,
        "dontneed" => libc::MADV_DONTNEED,
        "free" => libc::MADV_FREE,
        "remove" => libc::MADV_REMOVE,
        "populate" => 23, // MADV_POPULATE_WRITE (Linux 5.14)
        "collapse" => 25, // MADV_COLLAPSE (Linux 6.1)
        _ => return Err("no such advice".into()),
    })
}

/// A child that ends at once.
fn fork() -> Result<(), Failed> {
    #[expect(unsafe_code, reason = "the child of std has another address space at once")]
    // SAFETY: the child calls nothing but _exit.
    let child = unsafe { libc::fork() };
    match child {
        0 => {
            #[expect(unsafe_code, reason = "no destructors in the child")]
            // SAFETY: ends the child.
            unsafe {
                libc::_exit(0)
            }
        }
        -1 => Err(io::Error::last_os_error().into()),
        child => {
            let mut status = 0;
            #[expect(unsafe_code, reason = "waits for what fork gave")]
            // SAFETY: our own child, and a place for its status.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            ensure(waited == child && status == 0, || format!("{waited}: {status}"))
        }
    }
}
