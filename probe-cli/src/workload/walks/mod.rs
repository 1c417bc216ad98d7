//! Known address spaces, and walkers driven over them a known number of times.
//!
//! Nothing is counted here: each walker says which calls it expects of which function of the kernel, so that what
//! `walkprobe walks` counts can be compared. The rest of this process is walked by some walkers too: those say so.

mod drive;
pub mod serve;
mod space;
mod still;
mod sys;

use std::io::{self, BufRead, Write};

use serde::Serialize;

use self::still::Still;
pub use self::{
    drive::{DRIVERS, Driver},
    space::{SPACES, Space},
};
use super::{error::StepError, memory::Ground};
use crate::{event::Path, walk::site::Level};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Walks {
    /// Over which space; `None` for the same without one, which shows what the rest of the process adds.
    pub space: Option<&'static Space>,
    /// Which walkers, one after the other; empty for all.
    pub walkers: Vec<&'static Driver>,
    /// How often each of them.
    pub rounds: u64,
    /// How large the space is, in what a PMD entry maps; of 1 GiB pages there is one.
    pub blocks: usize,
    /// Wait for a line of standard input before and after.
    pub wait: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The process that did it, in its own PID namespace.
    pub pid: u32,
    /// Over which space.
    pub space: &'static str,
    /// How often each.
    pub rounds: u64,
    /// The walkers.
    pub walkers: Vec<Outcome>,
}

/// What a walker did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its name.
    pub walker: &'static str,
    /// Why it could not be driven; absent when it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The time of all rounds together, in ns.
    pub ns: u64,
    /// The calls of functions of the kernel that it caused, those of other walkers too.
    pub expected: Vec<Expected>,
}

/// Calls of a walker's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The walker.
    pub walker: &'static str,
    /// The path; absent where the function does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// The level of the leaves.
    pub level: Level,
    /// Calls.
    pub calls: u64,
    /// Entries that they are given; 0 where that is not told.
    pub leaves: u64,
    /// The rest of the process is walked too: these come to what there is without the space.
    pub whole: bool,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum WalksError {
    /// The space could not be built.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A line that asks for nothing there is.
    #[error("`{0}` is no request: `space NAME BLOCKS` and `drive WALKER ROUNDS` are")]
    Request(String),
    /// Nobody answered, or nobody could be told.
    #[error("cannot wait for a line of standard input: {0}")]
    Talk(#[from] io::Error),
}

impl Walks {
    /// Builds the space, drives the walkers, and tells what they should have done. With `wait`, it says `ready PID`, waits
    /// for a line, writes the report, and waits for the next line, or for the end of its input, before it frees the space.
    ///
    /// # Errors
    /// When the space cannot be built, or nobody answers.
    pub fn run(
        &self,
        words: &mut impl BufRead,
        answers: &mut impl Write,
    ) -> Result<Report, WalksError> {
        let _still = Still::begin();
        let mut ground = Ground::new();
        let land = match self.space {
            Some(space) => space.build(&ground, self.blocks)?,
            None => space::Land::default(),
        };
        let pid = std::process::id();
        if self.wait {
            writeln!(answers, "ready {pid}")?;
            answers.flush()?;
            if words.read_line(&mut String::with_capacity(64))? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        let all: Vec<&Driver> = DRIVERS.iter().collect();
        let chosen = if self.walkers.is_empty() { &all } else { &self.walkers };
        let walkers =
            chosen.iter().map(|driver| driver.drive(&land, &ground, self.rounds)).collect();
        let space = self.space.map_or("none", |space| space.name);
        let report = Report { pid, space, rounds: self.rounds, walkers };
        if self.wait {
            serde_json::to_writer(&mut *answers, &report).map_err(io::Error::from)?;
            writeln!(answers)?;
            answers.flush()?;
            words.read_line(&mut String::with_capacity(64))?;
        }
        land.retire(&mut ground)?;
        Ok(report)
    }
}

/// Writes both lists as a table.
///
/// # Errors
/// The writer's own.
pub fn write_list(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<16} WHAT IT IS", "SPACE")?;
    for space in SPACES {
        writeln!(out, "{:<16} {}", space.name, space.about)?;
        if !space.needs.is_empty() {
            let needs: Vec<_> = space.needs.iter().map(|need| need.name()).collect();
            writeln!(out, "{:<16} needs: {}", "", needs.join(", "))?;
        }
    }
    writeln!(out, "\n{:<16} WHAT A ROUND DOES", "WALKER")?;
    for driver in DRIVERS {
        writeln!(out, "{:<16} {}", driver.walker, driver.about)?;
    }
    Ok(())
}

impl Report {
    /// Writes it as a table.
    ///
    /// # Errors
    /// The writer's own.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "process {}, space {}, rounds {}", self.pid, self.space, self.rounds)?;
        writeln!(
            out,
            "{:<16} {:<16} {:<8} {:<4} {:>9} {:>9}",
            "DRIVEN", "WALKER", "PATH", "LEAF", "CALLS", "LEAVES"
        )?;
        for outcome in &self.walkers {
            let mut name = outcome.walker;
            if let Some(reason) = &outcome.skipped {
                writeln!(out, "{name:<16} skipped: {reason}")?;
            }
            for expected in &outcome.expected {
                let path = match expected.path {
                    Some(Path::Generic) => "generic",
                    Some(Path::Hugetlb) => "hugetlb",
                    None => "untold",
                };
                let more = if expected.whole { "  and the rest of the process" } else { "" };
                writeln!(
                    out,
                    "{name:<16} {:<16} {path:<8} {:<4} {:>9} {:>9}{more}",
                    expected.walker,
                    expected.level.name(),
                    expected.calls,
                    expected.leaves
                )?;
                name = "";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{DRIVERS, SPACES, Walks, write_list};
    use crate::walk::registry::WALKERS;

    #[test]
    fn drivers_are_walkers_of_the_registry() {
        for driver in DRIVERS {
            assert!(WALKERS.iter().any(|walker| walker.name == driver.walker), "{}", driver.walker);
        }
    }

    #[test]
    fn the_list_explains_spaces_and_walkers() {
        let mut list = Vec::new();
        write_list(&mut list).unwrap();
        insta::assert_snapshot!(String::from_utf8(list).unwrap());
    }

    fn walks(space: &str, wait: bool) -> Walks {
        let space = SPACES.iter().find(|known| known.name == space);
        Walks { space, walkers: Vec::new(), rounds: 2, blocks: 2, wait }
    }

    #[test]
    fn every_walker_is_driven_or_says_why_not() {
        let mut said = Vec::new();
        let report = walks("4k", true).run(&mut &b"go\n"[..], &mut said).unwrap();
        assert_eq!(report.walkers.len(), DRIVERS.len());
        for outcome in &report.walkers {
            assert!(outcome.skipped.is_some() == outcome.expected.is_empty(), "{outcome:?}");
        }
        let smaps = report.walkers.iter().find(|outcome| outcome.walker == "smaps").unwrap();
        // Two rounds over two PMD entries' worth of base pages.
        assert_eq!((smaps.expected[0].calls, smaps.expected[0].leaves), (4, 2048));
        assert!(String::from_utf8(said).unwrap().starts_with("ready "));
    }

    #[test]
    fn nobody_there_ends_it() {
        assert!(walks("4k", true).run(&mut io::empty(), &mut Vec::new()).is_err());
    }
}
