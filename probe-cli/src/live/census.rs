//! All processes in turn: what they come to by leaf size, within a budget.

use std::{collections::BTreeSet, fs};

use super::reader::Reader;
use crate::{
    census::{Count, Found},
    clock,
    kernel::program::{Absent, Program},
    maps::source::MapError,
};

/// Reading may take this share of one CPU: 5 %.
const SHARE: u64 = 20;

/// The longest that a step reads, in ns; a process that takes longer is paid for by a longer rest.
const STEP: u64 = 13_000_000;

/// How often it is looked up which processes there are, in ns; a round over all of them begins at most this often.
const ROUND: u64 = 2_000_000_000;

/// The most processes whose totals are kept.
pub const LIMIT: usize = 4096;

/// What the turn is taken in.
pub(super) trait Machine {
    /// A clock that never goes back, in ns.
    fn now(&self) -> u64;
    /// The processes that there are.
    fn processes(&mut self) -> Vec<u32>;
    /// Reads a process.
    fn count(&mut self, pid: u32) -> Outcome;
    /// Whether it has an address space; kernel threads have none.
    fn is_counted(&mut self, pid: u32) -> bool;
}

/// What became of reading a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// This is what it comes to.
    Count(Count),
    /// There is nothing to read: it has ended, or is a thread of the kernel.
    Nothing,
    /// It cannot be read.
    Refused,
    /// Not this time: it changed too much meanwhile.
    Later,
}

/// Where the turn is.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Those whose turn is still to come in this round; the next one is the last.
    todo: Vec<u32>,
    /// Those that are new. They take turns with the others: many that live shortly must not hold up the rest.
    fresh: Vec<u32>,
    is_freshs_turn: bool,
    /// All that there were at the last look, in order.
    listed: Vec<u32>,
    known: BTreeSet<u32>,
    left_out: usize,
    left_out_before: usize,
    /// What may be spent, in ns; below 0 after a process that took long.
    purse: i64,
    last: Option<u64>,
    next_round: u64,
}

impl Census {
    /// Reads as many processes as may be read now; `None` when that was none.
    pub(super) fn step(&mut self, machine: &mut impl Machine) -> Option<Found> {
        let start = machine.now();
        let passed = self.last.map_or(STEP * SHARE, |last| start.saturating_sub(last));
        self.last = Some(start);
        self.purse = self.purse.saturating_add_unsigned(passed / SHARE).min(STEP.cast_signed());
        let mut found = Found::default();
        let mut before = start;
        while self.purse > 0 {
            if before >= self.next_round {
                self.next_round = before.saturating_add(ROUND);
                self.list(machine, &mut found);
            } else if let Some(pid) = self.next() {
                self.count(machine, pid, &mut found);
            } else {
                break;
            }
            let now = machine.now();
            self.purse = self.purse.saturating_sub_unsigned(now.saturating_sub(before).max(1));
            before = now;
        }
        found.left_out = self.left_out.max(self.left_out_before);
        (!found.counts.is_empty() || !found.gone.is_empty()).then_some(found)
    }

    fn next(&mut self) -> Option<u32> {
        self.is_freshs_turn = !self.is_freshs_turn;
        let (first, second) = if self.is_freshs_turn {
            (&mut self.fresh, &mut self.todo)
        } else {
            (&mut self.todo, &mut self.fresh)
        };
        first.pop().or_else(|| second.pop())
    }

    /// Looks up which processes there are: new ones need not wait; when all have had their turn, it begins anew.
    fn list(&mut self, machine: &mut impl Machine, found: &mut Found) {
        let mut listed = machine.processes();
        listed.sort_unstable();
        let is_gone = |pid: &u32| listed.binary_search(pid).is_err();
        let gone: Vec<u32> = self.known.iter().copied().filter(is_gone).collect();
        for pid in &gone {
            self.known.remove(pid);
        }
        found.gone.extend(gone);
        self.fresh.clear();
        if self.todo.is_empty() {
            self.left_out_before = std::mem::take(&mut self.left_out);
            self.todo = listed.iter().rev().copied().collect();
        } else {
            self.todo.retain(|pid| !is_gone(pid));
            // The newest first: those before them have had a look's time to be read, or have ended.
            let is_new = |pid: &&u32| self.listed.binary_search(pid).is_err();
            self.fresh.extend(listed.iter().filter(is_new));
        }
        self.listed = listed;
    }

    fn count(&mut self, machine: &mut impl Machine, pid: u32, found: &mut Found) {
        if self.known.len() >= LIMIT && !self.known.contains(&pid) {
            self.left_out += usize::from(machine.is_counted(pid));
            return;
        }
        match machine.count(pid) {
            Outcome::Count(count) => {
                self.known.insert(pid);
                found.counts.push(count);
            }
            Outcome::Refused => self.left_out += 1,
            Outcome::Later => {}
            Outcome::Nothing => {
                if self.known.remove(&pid) {
                    found.gone.push(pid);
                }
            }
        }
    }
}

/// This machine.
pub(super) struct Running<'a>(pub(super) &'a mut Reader);

impl Machine for Running<'_> {
    fn now(&self) -> u64 {
        clock::monotonic()
    }

    fn processes(&mut self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    fn count(&mut self, pid: u32) -> Outcome {
        let time = clock::monotonic();
        match self.0.count(pid) {
            Ok((comm, sizes)) => Outcome::Count(Count { time, pid, comm, sizes }),
            Err(
                MapError::NoSuchProcess { .. }
                | MapError::Ended { .. }
                | MapError::Exited { .. }
                | MapError::KernelThread { .. },
            ) => Outcome::Nothing,
            Err(MapError::Executed { .. }) => Outcome::Later,
            Err(error) => {
                log::debug!("process {pid} is not counted: {error}");
                Outcome::Refused
            }
        }
    }

    fn is_counted(&mut self, pid: u32) -> bool {
        !matches!(Program::of(pid), Err(Absent::KernelThread | Absent::NoProcess | Absent::Ended))
    }
}

#[cfg(test)]
#[path = "census_tests.rs"]
mod tests;
