//! The suites as data: which walkers are driven over which spaces. Adding one is adding a row.

use crate::workload::walks::{DRIVERS, SPACES};

/// The name of what is no space: only the rest of the process.
pub const NO_SPACE: &str = "none";

/// What is measured in one run.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// What people call it.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// The address spaces, in order; empty for all.
    spaces: &'static [&'static str],
    /// The walkers, in order; empty for all.
    walkers: &'static [&'static str],
}

/// Every suite; the first one is that of who names none.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "paths",
        about: "walkers that serve both paths, over THPs and over hugetlb pages of 2 MiB",
        spaces: &["thp", "hugetlb-2m"],
        walkers: &[
            "smaps",
            "numa_maps",
            "pagemap",
            "pagemap_scan",
            "mempolicy",
            "mincore",
            "move_pages",
            "protect",
        ],
    },
    Suite {
        name: "quick",
        about: "three walkers over THPs and over hugetlb pages of 2 MiB",
        spaces: &["thp", "hugetlb-2m"],
        walkers: &["smaps", "pagemap", "mincore"],
    },
    Suite {
        name: "all",
        about: "every walker over every address space",
        spaces: &[],
        walkers: &[],
    },
];

impl Suite {
    /// The suite of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SUITES.iter().find(|suite| suite.name == name)
    }

    /// Its address spaces, in the order in which they are built.
    pub fn spaces(&self) -> impl Iterator<Item = &'static str> {
        let wanted = self.spaces;
        let all = SPACES.iter().map(|space| space.name);
        all.filter(move |name| wanted.is_empty() || wanted.contains(name))
    }

    /// Its walkers, in the order in which they are driven: those that take memory away come last.
    pub fn walkers(&self) -> impl Iterator<Item = &'static str> {
        let wanted = self.walkers;
        let all = DRIVERS.iter().map(|driver| driver.walker);
        all.filter(move |name| wanted.is_empty() || wanted.contains(name))
    }

    /// What to drive over what, in order: at first, without a space, the walkers that go over the whole process.
    #[must_use]
    pub fn work(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let is_whole = |name: &&str| {
            DRIVERS.iter().any(|driver| driver.walker == *name && driver.is_of_whole_process())
        };
        let whole = (NO_SPACE, self.walkers().filter(is_whole).collect());
        let over = |space| (space, self.walkers().collect());
        [whole].into_iter().chain(self.spaces().map(over)).collect()
    }

    /// Whether this walker's calls are counted: those of its own walkers, or, where it has all, also of those that no
    /// system call asks for, but that come with others.
    #[must_use]
    pub fn counts(&self, walker: &str) -> bool {
        self.walkers.is_empty() || self.walkers.contains(&walker)
    }
}

#[cfg(test)]
mod tests {
    use super::SUITES;

    #[test]
    fn suites_name_what_there_is() {
        for suite in SUITES {
            let (spaces, walkers) = (suite.spaces().count(), suite.walkers().count());
            assert!(spaces > 0 && walkers > 0, "{}", suite.name);
            assert!(suite.spaces.is_empty() || suite.spaces.len() == spaces, "{}", suite.name);
            assert!(suite.walkers.is_empty() || suite.walkers.len() == walkers, "{}", suite.name);
        }
    }
}
