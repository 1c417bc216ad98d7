//! What operations cannot do without, and what of it this machine lacks.

use std::{fs, path::Path};

use super::{super::machine, arena::Arena, sys, table::table, uffd::Feature};

/// What an operation cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// An advice that the kernel knows, and what it is called.
    Advice(i32, &'static str),
    /// THPs of PMD size.
    Thp,
    /// Pools of hugetlb pages.
    Hugetlb2M,
    /// The same of 1 GiB.
    Hugetlb1G,
    /// A tmpfs that gives huge pages.
    HugeShmem,
    /// userfaultfd with this feature.
    Uffd(Feature),
    /// Two memory nodes.
    Nodes,
    /// Swap space in use.
    Swap,
    /// A program to become.
    Program(&'static str),
    /// Leave to disturb the whole machine.
    WholeMachine,
}

impl Need {
    /// Why it is not there; `None` when it is.
    fn lack(self, arena: &Arena, whole_machine: bool) -> Option<String> {
        let lack = |lacking: bool, why: &str| lacking.then(|| why.to_owned());
        let or = |need: machine::Need| need.check(1).err().map(|error| error.to_string());
        match self {
            Self::Advice(number, name) => {
                (!sys::knows(number)).then(|| format!("this kernel does not know {name}"))
            }
            Self::Thp => or(machine::Need::Thp),
            Self::Hugetlb2M => or(machine::Need::Hugetlb2M)
                .or_else(|| arena.files.hugetlb.as_ref().err().map(ToString::to_string)),
            Self::Hugetlb1G => or(machine::Need::Hugetlb1G),
            Self::HugeShmem => {
                let error = arena.files.huge_shmem.as_ref().err()?;
                Some(format!("no tmpfs with huge pages: {error}"))
            }
            Self::Uffd(feature) => match &arena.uffd {
                Ok(uffd) if uffd.has(feature) => None,
                Ok(_) => Some(format!("userfaultfd has no {feature:?} here")),
                Err(error) => Some(format!("no userfaultfd: {error}")),
            },
            Self::Nodes => {
                let second = Path::new("/sys/devices/system/node/node1");
                lack(!second.exists(), "there is one memory node")
            }
            Self::Swap => {
                let spaces = fs::read_to_string("/proc/swaps").unwrap_or_default();
                lack(spaces.lines().count() < 2, "no swap space is in use")
            }
            Self::Program(path) => {
                (!Path::new(path).exists()).then(|| format!("there is no {path}"))
            }
            Self::WholeMachine => {
                lack(!whole_machine, "it concerns the whole machine: see --whole-machine")
            }
        }
    }
}

/// What this machine lacks, operation by operation.
#[derive(Debug)]
pub(super) struct Lacks(Vec<Option<String>>);

impl Lacks {
    /// Finds out, once.
    pub(super) fn find(arena: &Arena, whole_machine: bool) -> Self {
        let of_operation =
            |needs: &[Need]| needs.iter().find_map(|need| need.lack(arena, whole_machine));
        Self(table().iter().map(|operation| of_operation(operation.needs)).collect())
    }

    /// Of an operation, by its place in the table.
    pub(super) fn of(&self, index: usize) -> Option<&str> {
        self.0.get(index)?.as_deref()
    }
}
