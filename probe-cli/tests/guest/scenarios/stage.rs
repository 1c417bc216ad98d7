//! What a scenario's lines do.

use std::{collections::BTreeMap, fs::File, ops::Range, os::fd::AsFd as _};

use libtest_mimic::Failed;
use walkprobe::{
    maps::history,
    track::{log::Transaction, map::Tracked},
};

use super::{
    machine::{self, Place},
    map,
    told::{Told, last, rows, standing, told},
};
use crate::{
    child::until,
    files, hints,
    memory::{Area, Backing, PAGE, PMD, PUD},
    nodes,
    run::{ensure, guest},
    setting::Setting,
    swap::{Swap, page_out},
    uffd::{Feature, Uffd},
    vfio::Device,
};

/// What has been made so far.
#[derive(Default)]
pub(super) struct Stage {
    areas: BTreeMap<String, Area>,
    files: BTreeMap<String, File>,
    uffds: Vec<Uffd>,
    settings: Vec<Setting>,
    swap: Option<Swap>,
    place: Option<Place>,
    devices: Vec<Device>,
    /// The map at the beginning.
    before: Option<Tracked>,
    /// Causes that are told even when no leaf changed.
    also: Vec<String>,
    expected: Vec<String>,
    maps: Vec<(String, String)>,
}

impl Stage {
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failed> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["needs", "swap"] => self.swap = Some(Swap::on()?),
            ["needs", _] => {}
            ["hurry-khugepaged"] => self.settings.extend(machine::hurry_khugepaged()?),
            ["watch"] => self.before = Some(map()?),
            ["also", cause] => self.also.push(cause.to_owned()),
            ["on-node", "0"] => self.place = Some(Place::first()?),
            ["folios"] => self.settings.extend(machine::folios()?),
            ["ksm-zero"] => self.settings.extend(machine::merge_with_zero()?),
            ["hurry-ksmd"] => self.settings.extend(machine::hurry_ksmd()?),
            ["shrink"] => machine::shrink()?,
            ["swapoff"] => drop(self.swap.take()),
            ["await", cause, name] => self.wait_for_cause(cause, name)?,
            ["read-it"] => drop(map()?),
            [map, name, ..] if is_word(map, "map") => {
                let (_, map) = line.split_once(": ").ok_or("no colon")?;
                if is_here(words[0]) {
                    self.maps.push((name.trim_end_matches(':').to_owned(), map.to_owned()));
                }
            }
            [expect, ..] if is_word(expect, "expect") => {
                let (_, told) = line.split_once(' ').ok_or("nothing is expected")?;
                if is_here(expect) {
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
            "stack" => Area::stack(length)?,
            "device" => {
                let device = Device::open()?;
                let (file, offset) = device.memory();
                let area = Area::new(length, Backing::Device(file, offset.try_into()?))?;
                self.devices.push(device);
                area
            }
            "huge" => Area::huge(length)?.ok_or("THP is switched off")?,
            "hugetlb2M" => Area::hugetlb(length, PMD)?.ok_or("the pool is empty")?,
            "hugetlb1G" => Area::hugetlb(length, PUD)?.ok_or("the pool is empty")?,
            "shared" => {
                let file = files::memfd(length, 0)?;
                let area = Area::new(length, Backing::Shared(file.as_fd()))?;
                self.files.insert(name.to_owned(), file);
                area
            }
            // Two mappings of one file, which share their tables.
            "hugetlb-shared" => {
                let file = files::memfd(length, libc::MFD_HUGETLB | libc::MFD_HUGE_2MB)?;
                let map = || Area::new(length, Backing::SharedHugetlb(file.as_fd(), PUD));
                self.areas.insert(format!("{name}2"), map()?);
                map()?
            }
            "shmem-huge" => {
                let file = files::in_tmpfs(length, "always")?;
                let area = Area::new(length, Backing::Shared(file.as_fd()))?;
                area.advise(0..length, libc::MADV_HUGEPAGE)?;
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
        range: Range<usize>,
        more: &[&str],
    ) -> Result<(), Failed> {
        let area = self.areas.get(name).ok_or("no such area")?;
        let other = |at: usize| more.get(at).and_then(|name| self.areas.get(*name));
        match verb {
            "write" => area.write(range),
            "write-zero" => area.fill(range, 0),
            "lock" => area.lock(range)?,
            "grow" => area.grow(range, size(more)?)?,
            "read" => area.read(range),
            "forbid" => area.forbid(range)?,
            "protect" => area.protect(range, libc::PROT_READ)?,
            "advise" => {
                let advice = advice(more.first().copied().unwrap_or(""))?;
                // A collapse may have to be tried again.
                until("an answer", || match area.advise(range.clone(), advice) {
                    Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => None,
                    outcome => Some(outcome),
                })??;
            }
            "pageout" => page_out(area, range)?,
            "unmap" => area.unmap(range)?,
            "hints" => hints::wait_for_all(area)?,
            "remap" => area.remap(range)?,
            "move" => area.move_to(range, other(0).ok_or("where to?")?)?,
            "migrate" => nodes::move_to(&area.part(range.clone()), PAGE.max(size(more)?), 1)?,
            "home" => nodes::move_to(&area.part(range.clone()), PAGE.max(size(more)?), 0)?,
            "truncate" => self.files.get(name).ok_or("no file")?.set_len(range.start as u64)?,
            "await" => Self::wait_for(area, range, &more.join(" "))?,
            "fork" => machine::fork()?,
            "guard" => area.guard(range)?,
            "uffd-shared" => {
                let features = [Feature::PagefaultFlagWp, Feature::WpHugetlbfsShmem];
                self.uffds.push(Uffd::to_protect(area, &features)?);
            }
            "uffd" => {
                let uffd = Uffd::to_protect(area, &[Feature::PagefaultFlagWp])?;
                self.uffds.push(uffd);
            }
            "uffd-missing" => self.uffds.push(Uffd::to_fill(area, &[Feature::Move])?),
            "uffd-copy" | "uffd-move" => {
                let uffd = self.uffds.last().ok_or("no userfaultfd")?;
                let from = other(0).ok_or("where from?")?.part(0..range.len());
                if verb == "uffd-copy" {
                    uffd.copy(area, range, &from)?;
                } else {
                    uffd.bring_away(area, range, &from)?;
                }
            }
            "uffd-protect" => {
                self.uffds.last().ok_or("no userfaultfd")?.protect(area, range)?;
            }
            _ => return Err("no such operation".into()),
        }
        Ok(())
    }

    /// Waits until an operation on an area is told.
    fn wait_for_cause(&self, cause: &str, name: &str) -> Result<(), Failed> {
        until(cause, || self.is_told(cause, name).ok()?.then_some(()))
    }

    /// Whether an operation on an area is told.
    fn is_told(&self, cause: &str, name: &str) -> Result<bool, Failed> {
        let range = self.areas.get(name).ok_or("no such area")?.range();
        let before = self.before.as_ref().map_or(0, last);
        let map = map()?;
        let is_one = |one: &Transaction| history::name(&one.cause) == cause && one.concerns(&range);
        Ok(map.after(before).any(is_one))
    }

    /// Waits until something stands in a part of an area.
    fn wait_for(area: &Area, range: Range<usize>, state: &str) -> Result<(), Failed> {
        let part = area.part(range).range();
        until(state, || {
            let pieces = map().ok()?.pieces(&part);
            pieces.iter().all(|(_, piece)| piece.state.to_string() == state).then_some(())
        })
    }

    /// Compares what was expected with what was seen.
    pub(super) fn end(self) -> Result<(), Failed> {
        let before = self.before.as_ref().ok_or("nothing was watched")?;
        let map = map()?;
        let operations = told(&map, last(before), &self.areas, &self.also);
        let told: Vec<String> = operations.iter().map(Told::line).collect();
        ensure(told == self.expected, || {
            format!(
                "transactions\n  {}\nand not\n  {}",
                told.join("\n  "),
                self.expected.join("\n  ")
            )
        })?;
        let rows = rows(before, &map, &self.areas);
        for row in operations.iter().map(Told::row) {
            ensure(rows.iter().any(|shown| shown.starts_with(&row)), || {
                format!("top does not show `{row}`, but\n  {}", rows.join("\n  "))
            })?;
        }
        for (name, expected) in &self.maps {
            let area = self.areas.get(name).ok_or("no such area")?;
            let found = standing(&map, area);
            ensure(found == *expected, || format!("map {name}: {found}, and not {expected}"))?;
        }
        Ok(())
    }
}

/// Whether it is this word, for some kernels or for all: `map`, `map@6.1,6.12`.
fn is_word(head: &str, word: &str) -> bool {
    head.split('@').next() == Some(word)
}

/// Whether a line that begins so is for this kernel.
fn is_here(head: &str) -> bool {
    let here = guest().unwrap_or_default();
    let kernels = head.split_once('@').map(|(_, kernels)| kernels);
    kernels.is_none_or(|kernels| kernels.split(',').any(|series| series == here))
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
        "mergeable" => libc::MADV_MERGEABLE,
        "unmergeable" => libc::MADV_UNMERGEABLE,
        "cold" => libc::MADV_COLD,
        "populate" => 23, // MADV_POPULATE_WRITE (Linux 5.14)
        "collapse" => 25, // MADV_COLLAPSE (Linux 6.1)
        _ => return Err("no such advice".into()),
    })
}
