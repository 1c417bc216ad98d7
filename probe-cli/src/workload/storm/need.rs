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
    /// A kernel that does not lose its way when the huge zero page is moved.
    MovableZero,
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
            Self::MovableZero => {
                let switch = fs::read_to_string(USE_ZERO_PAGE);
                let is_used = switch.is_ok_and(|text| text.trim() != "0");
                let release = rustix::system::uname().release().to_string_lossy().into_owned();
                let why = format!("it can make Linux {release} panic: write 0 to {USE_ZERO_PAGE}");
                lack(is_used && loses_the_zero_page(&release), &why)
            }
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

/// Whether read faults in THPs map the huge zero page.
const USE_ZERO_PAGE: &str = "/sys/kernel/mm/transparent_hugepage/use_zero_page";

/// From 6.16 on, `UFFDIO_MOVE` of the huge zero page maps what is no memory ("mm: add folio_mk_pmd()", e3981db444a0), and
/// whoever looks at it later falls over. Mended in 7.0; which versions before it got that cannot be asked, only tried, with a panic.
fn loses_the_zero_page(release: &str) -> bool {
    let mut numbers = release.split(['.', '-', '+']).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(6)), Some(Ok(16..=19))))
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

#[cfg(test)]
mod tests {
    use super::loses_the_zero_page;

    #[test]
    fn kernels_that_lose_the_zero_page_are_known() {
        for (release, loses) in [
            ("6.12.118+deb13-cloud-amd64", false),
            ("6.16.0", true),
            ("6.18.15+deb13-cloud-amd64", true),
            ("6.19-rc1", true),
            ("7.0.1", false),
            ("7.16.2", false),
            ("custom", false),
        ] {
            assert_eq!(loses_the_zero_page(release), loses, "{release}");
        }
    }
}
