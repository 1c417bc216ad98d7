//! The steps as data: adding a step is adding a row.

use super::{
    error::StepError,
    expected::Done,
    machine::Need,
    memory::Ground,
    steps::{change, collapse, fault, split, walk},
};

/// Something that does an exactly known number of kernel operations.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What people call it.
    pub name: &'static str,
    /// What it does N times, in a line.
    pub about: &'static str,
    /// What it cannot do without.
    pub needs: &'static [Need],
    /// The largest N that it takes.
    pub most: usize,
    pub(super) run: fn(&mut Ground, usize) -> Result<Done, StepError>,
}

const MANY: usize = 1 << 20;
const THPS: usize = 1 << 14;

const CATALOGUE: &[Step] = &[
    Step {
        name: "base",
        about: "touch N base pages where THP is off",
        needs: &[],
        most: MANY,
        run: fault::base,
    },
    Step {
        name: "hugetlb-2m",
        about: "touch N hugetlb pages of 2 MiB",
        needs: &[Need::Hugetlb2M],
        most: THPS,
        run: fault::hugetlb_2m,
    },
    Step {
        name: "hugetlb-1g",
        about: "touch N hugetlb pages of 1 GiB",
        needs: &[Need::Hugetlb1G],
        most: 64,
        run: fault::hugetlb_1g,
    },
    Step {
        name: "thp",
        about: "fault in N THPs by a write",
        needs: &[Need::Thp],
        most: THPS,
        run: fault::thp,
    },
    Step {
        name: "thp-read",
        about: "fault in N huge zero pages by a read",
        needs: &[Need::Thp],
        most: THPS,
        run: fault::thp_read,
    },
    Step {
        name: "thp-cow",
        about: "write to N THPs that a child shares: PMD split and copy of a base page",
        needs: &[Need::Thp],
        most: THPS,
        run: fault::thp_cow,
    },
    Step {
        name: "split-munmap",
        about: "split the PMDs of N THPs by a munmap of one base page inside",
        needs: &[Need::Thp],
        most: THPS,
        run: split::munmap,
    },
    Step {
        name: "split-mprotect",
        about: "split the PMDs of N THPs by an mprotect of one base page inside",
        needs: &[Need::Thp],
        most: THPS,
        run: split::mprotect,
    },
    Step {
        name: "folio-split",
        about: "split N THPs, PMD and folio, by MADV_FREE of one base page inside",
        needs: &[Need::Thp],
        most: THPS,
        run: split::folio,
    },
    Step {
        name: "collapse",
        about: "collapse N ranges of base pages into THPs by MADV_COLLAPSE",
        needs: &[Need::Thp, Need::Collapse],
        most: 1 << 12,
        run: collapse::madvise,
    },
    Step {
        name: "smaps",
        about: "read /proc/self/smaps N times over base pages, THPs and hugetlb pages",
        needs: &[Need::Thp],
        most: MANY,
        run: walk::smaps,
    },
    Step {
        name: "pagemap",
        about: "read the pagemap of base pages, THPs and hugetlb pages N times",
        needs: &[Need::Thp],
        most: MANY,
        run: walk::pagemap,
    },
    Step {
        name: "zap",
        about: "give N base pages back by MADV_DONTNEED, one at a time",
        needs: &[],
        most: MANY,
        run: change::zap,
    },
    Step {
        name: "zap-hugetlb",
        about: "unmap N hugetlb pages of 2 MiB, one at a time",
        needs: &[Need::Hugetlb2M],
        most: THPS,
        run: change::zap_hugetlb,
    },
    Step {
        name: "protect",
        about: "write-protect N base pages by mprotect, one at a time",
        needs: &[],
        most: MANY,
        run: change::protect,
    },
    Step {
        name: "move",
        about: "move N base pages by mremap, one at a time",
        needs: &[],
        most: 1 << 14,
        run: change::shift,
    },
    Step {
        name: "fork",
        about: "fork N children that share three base pages",
        needs: &[],
        most: 1 << 10,
        run: change::fork,
    },
    Step {
        name: "unmap",
        about: "unmap N base pages one at a time, and map something else there",
        needs: &[],
        most: 1 << 14,
        run: change::unmap,
    },
];

/// Every step, in the order in which people should read them.
#[must_use]
pub const fn catalogue() -> &'static [Step] {
    CATALOGUE
}
