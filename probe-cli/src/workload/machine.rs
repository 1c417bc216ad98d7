//! What this machine's kernel offers to a workload.

use std::{fs, path::Path};

use super::{
    error::Unavailable,
    sys::{self, Advice},
};

const THP: &str = "/sys/kernel/mm/transparent_hugepage";
const POOLS: &str = "/sys/kernel/mm/hugepages";

/// Sizes of this machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// A base page.
    pub page: usize,
    /// What one PMD entry maps: the size of a THP.
    pub pmd: usize,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn this() -> Self {
        let page = rustix::param::page_size();
        // A table is a page of 8-byte entries, on every architecture that walkprobe knows.
        Self { page, pmd: page * (page / 8) }
    }

    /// Base pages in what one PMD entry maps.
    #[must_use]
    pub const fn pages_per_pmd(self) -> usize {
        self.pmd / self.page
    }
}

/// What a step cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A pool of 2 MiB hugetlb pages with as many free ones as the step's count.
    Hugetlb2M,
    /// The same of 1 GiB.
    Hugetlb1G,
    /// THPs of PMD size for memory with `MADV_HUGEPAGE`.
    Thp,
    /// `MADV_COLLAPSE` (Linux 6.1).
    Collapse,
}

impl Need {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hugetlb2M => "free 2 MiB hugetlb pages",
            Self::Hugetlb1G => "free 1 GiB hugetlb pages",
            Self::Thp => "THP not `never`",
            Self::Collapse => "MADV_COLLAPSE (Linux 6.1)",
        }
    }

    /// Whether it is there, `count` times where that matters.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn check(self, count: usize) -> Result<(), Unavailable> {
        match self {
            Self::Hugetlb2M => pool(2 << 20, count),
            Self::Hugetlb1G => pool(1 << 30, count),
            Self::Thp => {
                let top = read(&format!("{THP}/enabled"));
                let size = format!("{THP}/hugepages-{}kB/enabled", Machine::this().pmd >> 10);
                thp(top.as_deref(), read(&size).as_deref())
            }
            Self::Collapse if sys::knows(Advice::Collapse) => Ok(()),
            Self::Collapse => Err(Unavailable::Collapse),
        }
    }
}

fn pool(size: usize, wanted: usize) -> Result<(), Unavailable> {
    let folder = format!("{POOLS}/hugepages-{}kB", size >> 10);
    let number = |file: &str| {
        fs::read_to_string(Path::new(&folder).join(file))
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok())
    };
    let Some(free) = number("free_hugepages") else {
        return Err(Unavailable::NoPool { size });
    };
    // Reserved pages are free ones that somebody has mapped but not touched yet; surplus pages
    // would be taken from the buddy allocator, which may not have them.
    let free = free.saturating_sub(number("resv_hugepages").unwrap_or(0));
    if free < wanted { Err(Unavailable::Pool { size, wanted, free }) } else { Ok(()) }
}

/// `top` is `transparent_hugepage/enabled`, `size` that of the PMD size (Linux 6.8), which
/// overrules it unless it says `inherit`.
fn thp(top: Option<&str>, size: Option<&str>) -> Result<(), Unavailable> {
    let top = top.ok_or(Unavailable::NoThp)?;
    let never = match size.and_then(chosen) {
        None | Some("inherit") => chosen(top) == Some("never"),
        Some(mode) => mode == "never",
    };
    if never { Err(Unavailable::ThpNever) } else { Ok(()) }
}

/// The word in brackets: `always [madvise] never`.
fn chosen(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(word, _)| word)
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(file).ok()
}

/// How often khugepaged has been over all its address spaces; `None` without THP.
pub(super) fn khugepaged_scans() -> Option<u64> {
    read(&format!("{THP}/khugepaged/full_scans"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Unavailable, thp};

    #[test]
    fn the_pmd_size_overrules_the_common_setting() {
        let madvise = Some("always [madvise] never\n");
        let never = Some("always madvise [never]\n");
        let inherit = Some("always [inherit] madvise never\n");
        for (top, size, available) in [
            (madvise, None, true),
            (never, None, false),
            (madvise, inherit, true),
            (never, inherit, false),
            (never, madvise, true),
            (madvise, Some("always inherit madvise [never]\n"), false),
        ] {
            assert_eq!(thp(top, size).is_ok(), available, "{top:?} {size:?}");
        }
        assert_eq!(thp(None, None), Err(Unavailable::NoThp));
    }
}
