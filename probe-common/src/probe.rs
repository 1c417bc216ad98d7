//! The logical probes: what walkprobe watches, whatever the kernel's function is called.

/// One thing in the kernel that walkprobe watches.
///
/// The number indexes the counters and argument tables in the kernel; it is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Probe {
    /// A fault in a hugetlb VMA (`hugetlb_fault`, mm/hugetlb.c).
    HugetlbFault = 0,
    /// Any fault that needs a page (`handle_mm_fault`, mm/memory.c), hugetlb included.
    MmFault = 1,
    /// A fault that tries to map an anonymous THP (`do_huge_pmd_anonymous_page`).
    ThpFault = 2,
    /// A write to a write-protected THP (`do_huge_pmd_wp_page`).
    ThpWpFault = 3,
    /// A file or shmem fault that tries to map a PMD (`do_set_pmd`).
    ThpFileFault = 4,
    /// A NUMA hinting fault on a THP (`do_huge_pmd_numa_page`).
    ThpNumaFault = 5,
    /// A PMD leaf replaced by a table of PTEs, or cleared (`__split_huge_pmd_locked`).
    PmdSplit = 6,
    /// A large folio split into smaller ones (`__folio_split`).
    FolioSplit = 7,
    /// An anonymous range collapsed into a larger folio (`collapse_huge_page`).
    Collapse = 8,
    /// A file or shmem range collapsed into a larger folio (`collapse_file`).
    CollapseFile = 9,
    /// `madvise(MADV_COLLAPSE)` (`madvise_collapse`).
    CollapseRequest = 10,
    /// The generic walker enters a VMA (`__walk_page_range`, mm/pagewalk.c).
    WalkVma = 11,
    /// smaps on the generic path, once per PMD entry (`smaps_pte_range`).
    WalkSmaps = 12,
    /// smaps on the hugetlb path, once per hugetlb entry (`smaps_hugetlb_range`).
    WalkSmapsHugetlb = 13,
    /// pagemap on the generic path, once per PMD entry (`pagemap_pmd_range`).
    WalkPagemap = 14,
    /// pagemap on the hugetlb path, once per hugetlb entry (`pagemap_hugetlb_range`).
    WalkPagemapHugetlb = 15,
    /// Leaves of a range removed (`__zap_vma_range`), outside of hugetlb VMAs and of [`Self::Exit`].
    Zap = 16,
    /// The same in a hugetlb VMA (`__unmap_hugepage_range`).
    ZapHugetlb = 17,
    /// Permissions of leaves changed (`change_protection`): mprotect, NUMA hints, userfaultfd.
    Protect = 18,
    /// Leaves moved to other addresses (`move_page_tables`): mremap, and the stack at exec.
    Move = 19,
    /// Leaves of a VMA copied to a child, and write-protected (`copy_page_range`).
    Fork = 20,
    /// A table of hugetlb PMDs of another process used if there is one (`huge_pmd_share`).
    Share = 21,
    /// Shared tables of hugetlb PMDs given up (`hugetlb_unshare_pmds`).
    Unshare = 22,
    /// A request to userfaultfd that changes leaves (`userfaultfd_ioctl`).
    Uffd = 23,
    /// Leaves of a folio replaced by migration entries (`try_to_migrate_one`).
    Migrate = 24,
    /// Migration entries of a folio replaced by leaves (`remove_migration_pte`).
    Restore = 25,
    /// Leaves of a folio replaced by swap entries or by nothing (`try_to_unmap_one`).
    Reclaim = 26,
    /// The address space replaced by that of another program (`begin_new_exec`).
    Exec = 27,
    /// A whole address space torn down (`exit_mmap`).
    Exit = 28,
    /// A mapping made (`__mmap_region`).
    VmaMap = 29,
    /// A range unmapped (`do_vmi_align_munmap`).
    VmaUnmap = 30,
    /// The heap grown (`do_brk_flags`).
    VmaBrk = 31,
    /// A stack grown (`expand_downwards`).
    VmaGrow = 32,
    /// A finished VMA put in place (`vma_link`): the copy of mremap, special mappings.
    VmaLink = 33,
    /// VMAs split, merged or resized (`vma_complete`).
    VmaAdjust = 34,
    /// Leaves of a file or shmem folio replaced by one PMD leaf, or by nothing (`collapse_pte_mapped_thp`).
    CollapseMapped = 35,
    /// A collapse of a file took tables from whoever maps that part of it (`retract_page_tables`).
    Retract = 36,
    /// Swap entries of a range replaced by leaves at swapoff (`unuse_pte_range`, mm/swapfile.c).
    Unuse = 37,
    /// A leaf made to map the page that others with the same contents map (`try_to_merge_one_page`, mm/ksm.c).
    KsmMerge = 38,
    /// A PUD leaf of generic mm cleared, so that its parts can be mapped (`__split_huge_pud`).
    PudSplit = 39,
}

/// The number of logical probes, and of rows in the kernel's tables.
pub const PROBES: usize = 40;

/// A group of probes that people think of together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Page faults on the generic path, of any leaf size.
    Fault,
    /// Faults in hugetlb VMAs.
    Hugetlb,
    /// Faults that want a PMD leaf in generic mm.
    Thp,
    /// PMD, PUD and folio splits.
    Split,
    /// Collapses into a larger leaf.
    Collapse,
    /// Page-table walks.
    Walk,
    /// Ranges whose leaves are removed, moved, copied or get other permissions.
    Change,
    /// Folios that are unmapped and mapped again, wherever they are mapped.
    Migrate,
    /// The list of VMAs, and the beginning and end of an address space.
    Vma,
}

impl Family {
    /// Every family, in the order in which people read them.
    pub const ALL: [Self; 9] = [
        Self::Fault,
        Self::Hugetlb,
        Self::Thp,
        Self::Split,
        Self::Collapse,
        Self::Walk,
        Self::Change,
        Self::Migrate,
        Self::Vma,
    ];

    /// The stable lower-case name, used in options, columns and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Hugetlb => "hugetlb",
            Self::Thp => "thp",
            Self::Split => "split",
            Self::Collapse => "collapse",
            Self::Walk => "walk",
            Self::Change => "change",
            Self::Migrate => "migrate",
            Self::Vma => "vma",
        }
    }
}

impl Probe {
    /// Every probe, by number.
    pub const ALL: [Self; PROBES] = [
        Self::HugetlbFault,
        Self::MmFault,
        Self::ThpFault,
        Self::ThpWpFault,
        Self::ThpFileFault,
        Self::ThpNumaFault,
        Self::PmdSplit,
        Self::FolioSplit,
        Self::Collapse,
        Self::CollapseFile,
        Self::CollapseRequest,
        Self::WalkVma,
        Self::WalkSmaps,
        Self::WalkSmapsHugetlb,
        Self::WalkPagemap,
        Self::WalkPagemapHugetlb,
        Self::Zap,
        Self::ZapHugetlb,
        Self::Protect,
        Self::Move,
        Self::Fork,
        Self::Share,
        Self::Unshare,
        Self::Uffd,
        Self::Migrate,
        Self::Restore,
        Self::Reclaim,
        Self::Exec,
        Self::Exit,
        Self::VmaMap,
        Self::VmaUnmap,
        Self::VmaBrk,
        Self::VmaGrow,
        Self::VmaLink,
        Self::VmaAdjust,
        Self::CollapseMapped,
        Self::Retract,
        Self::Unuse,
        Self::KsmMerge,
        Self::PudSplit,
    ];

    /// The stable name, used in reports and traces and as the start of the eBPF programs' names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HugetlbFault => "hugetlb_fault",
            Self::MmFault => "mm_fault",
            Self::ThpFault => "thp_fault",
            Self::ThpWpFault => "thp_wp_fault",
            Self::ThpFileFault => "thp_file_fault",
            Self::ThpNumaFault => "thp_numa_fault",
            Self::PmdSplit => "pmd_split",
            Self::FolioSplit => "folio_split",
            Self::Collapse => "collapse",
            Self::CollapseFile => "collapse_file",
            Self::CollapseRequest => "collapse_request",
            Self::WalkVma => "walk_vma",
            Self::WalkSmaps => "walk_smaps",
            Self::WalkSmapsHugetlb => "walk_smaps_hugetlb",
            Self::WalkPagemap => "walk_pagemap",
            Self::WalkPagemapHugetlb => "walk_pagemap_hugetlb",
            Self::Zap => "zap",
            Self::ZapHugetlb => "zap_hugetlb",
            Self::Protect => "protect",
            Self::Move => "move",
            Self::Fork => "fork",
            Self::Share => "share",
            Self::Unshare => "unshare",
            Self::Uffd => "uffd",
            Self::Migrate => "migrate",
            Self::Restore => "restore",
            Self::Reclaim => "reclaim",
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::VmaMap => "vma_map",
            Self::VmaUnmap => "vma_unmap",
            Self::VmaBrk => "vma_brk",
            Self::VmaGrow => "vma_grow",
            Self::VmaLink => "vma_link",
            Self::VmaAdjust => "vma_adjust",
            Self::CollapseMapped => "collapse_mapped",
            Self::Retract => "retract",
            Self::Unuse => "unuse",
            Self::KsmMerge => "ksm_merge",
            Self::PudSplit => "pud_split",
        }
    }

    /// The family that the probe belongs to.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::HugetlbFault => Family::Hugetlb,
            Self::MmFault => Family::Fault,
            Self::ThpFault | Self::ThpWpFault | Self::ThpFileFault | Self::ThpNumaFault => {
                Family::Thp
            }
            Self::PmdSplit | Self::PudSplit | Self::FolioSplit => Family::Split,
            Self::Collapse | Self::CollapseFile | Self::CollapseRequest | Self::CollapseMapped => {
                Family::Collapse
            }
            Self::WalkVma
            | Self::WalkSmaps
            | Self::WalkSmapsHugetlb
            | Self::WalkPagemap
            | Self::WalkPagemapHugetlb => Family::Walk,
            Self::Zap
            | Self::ZapHugetlb
            | Self::Protect
            | Self::Move
            | Self::Fork
            | Self::Share
            | Self::Unshare
            | Self::Uffd
            | Self::Retract
            | Self::Unuse
            | Self::KsmMerge => Family::Change,
            Self::Migrate | Self::Restore | Self::Reclaim => Family::Migrate,
            Self::Exec
            | Self::Exit
            | Self::VmaMap
            | Self::VmaUnmap
            | Self::VmaBrk
            | Self::VmaGrow
            | Self::VmaLink
            | Self::VmaAdjust => Family::Vma,
        }
    }

    /// The probe with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The row of this probe in the kernel's tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The probe's bit in a set of probes.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::Probe;

    #[test]
    fn a_probe_stands_in_its_own_row() {
        for (row, probe) in Probe::ALL.into_iter().enumerate() {
            assert_eq!(probe.index(), row, "{}", probe.name());
            assert_eq!(Probe::from_number(u8::try_from(row).unwrap()), Some(probe));
        }
        assert_eq!(Probe::from_number(u8::MAX), None);
    }
}
