//! The logical probes that see leaves and VMAs change, beside faults, splits and collapses.

use probe_common::probe::Probe;

use super::catalogue::{
    FILE_DATA, Logical, MOVE_NEW_ADDR, MOVE_OLD, MOVE_OLD_ADDR, MOVE_OLD_END, PAGE_INDEX,
    PREPARE_INSERT, PREPARE_NEXT, PREPARE_REMOVE, PREPARE_VMA, Packed, Role, TASK_MM, UFFD_MM,
    VMA_END, VMA_FLAGS, VMA_MM, VMA_PGOFF, VMA_START,
};

/// A range of a VMA.
const RANGE: Logical = Logical {
    probe: Probe::Zap,
    feature: "removed leaves (munmap, MADV_DONTNEED, truncate)",
    functions: &["__zap_vma_range", "unmap_page_range"],
    required: &[Role::Vma, Role::Address, Role::End],
    address: &["start", "addr"],
    optional: &[],
    needs_result: false,
    offsets: &[TASK_MM, VMA_MM],
    tracepoints: &[],
    packed: None,
};

/// Both are entered from `unmap_vmas` and `zap_vma_range*`, and the first one from
/// `__oom_reap_task_mm` (mm/memory.c, mm/oom_kill.c).
pub(super) const ZAP: Logical = Logical { offsets: &[TASK_MM, VMA_MM, VMA_FLAGS], ..RANGE };

pub(super) const ZAP_HUGETLB: Logical = Logical {
    probe: Probe::ZapHugetlb,
    feature: "removed hugetlb leaves",
    functions: &["__unmap_hugepage_range"],
    ..RANGE
};

/// Contains `hugetlb_change_protection`; mprotect (`mprotect_fixup`), NUMA hints
/// (`change_prot_numa`) and userfaultfd (`uffd_wp_range`) come through it.
pub(super) const PROTECT: Logical = Logical {
    probe: Probe::Protect,
    feature: "changed permissions (mprotect, NUMA hints, userfaultfd)",
    functions: &["change_protection"],
    address: &["start"],
    needs_result: true,
    ..RANGE
};

/// Contains `move_hugetlb_page_tables`. `move_vma` calls it for all but the stack of a new program.
pub(super) const MOVE: Logical = Logical {
    probe: Probe::Move,
    feature: "moved leaves (mremap)",
    functions: &["move_page_tables", "move_vma"],
    required: &[Role::Vma, Role::Address, Role::Len, Role::NewAddress],
    address: &["old_addr"],
    packed: Some(Packed {
        required: &[Role::Control],
        offsets: &[MOVE_OLD, MOVE_OLD_ADDR, MOVE_OLD_END, MOVE_NEW_ADDR],
    }),
    ..RANGE
};

/// Contains `copy_hugetlb_page_range`.
pub(super) const FORK: Logical = Logical {
    probe: Probe::Fork,
    feature: "leaves copied at fork",
    functions: &["copy_page_range"],
    required: &[Role::Source],
    address: &[],
    needs_result: true,
    offsets: &[TASK_MM, VMA_MM, VMA_START, VMA_END],
    ..RANGE
};

pub(super) const SHARE: Logical = Logical {
    probe: Probe::Share,
    feature: "tables of hugetlb PMDs shared with other processes",
    functions: &["huge_pmd_share"],
    required: &[Role::Mm, Role::Address],
    address: &["addr"],
    offsets: &[TASK_MM],
    ..RANGE
};

/// What zaps, mprotect and mremap unshare is in their own ranges: `huge_pmd_unshare` is inlined into
/// them on most kernels.
pub(super) const UNSHARE: Logical = Logical {
    probe: Probe::Unshare,
    feature: "shared tables of hugetlb PMDs given up",
    functions: &["hugetlb_unshare_pmds"],
    address: &["start"],
    ..RANGE
};

/// Where it is a part of `collapse_file` (6.1), that stands for it.
pub(super) const RETRACT: Logical = Logical {
    probe: Probe::Retract,
    feature: "tables taken from all that map a collapsed file",
    functions: &["retract_page_tables", "collapse_file"],
    required: &[],
    address: &[],
    offsets: &[TASK_MM],
    ..RANGE
};

/// The later one calls the other one, which is called by itself too.
pub(super) const COLLAPSE_MAPPED: Logical = Logical {
    probe: Probe::CollapseMapped,
    feature: "leaves of a huge folio replaced by one",
    functions: &["try_collapse_pte_mapped_thp", "collapse_pte_mapped_thp"],
    required: &[Role::Mm, Role::Address],
    address: &["addr"],
    offsets: &[TASK_MM],
    ..RANGE
};

pub(super) const UFFD: Logical = Logical {
    probe: Probe::Uffd,
    feature: "leaves made, moved or marked by userfaultfd",
    functions: &["userfaultfd_ioctl"],
    required: &[Role::File, Role::Command, Role::Argument],
    address: &[],
    needs_result: true,
    offsets: &[TASK_MM, FILE_DATA, UFFD_MM],
    ..RANGE
};

pub(super) const MIGRATE: Logical = Logical {
    probe: Probe::Migrate,
    feature: "leaves that become migration entries",
    functions: &["try_to_migrate_one"],
    required: &[Role::Vma, Role::Address],
    address: &["address", "addr"],
    optional: &[Role::Folio],
    needs_result: true,
    ..RANGE
};

pub(super) const RESTORE: Logical = Logical {
    probe: Probe::Restore,
    feature: "migration entries that become leaves",
    functions: &["remove_migration_pte"],
    ..MIGRATE
};

pub(super) const RECLAIM: Logical = Logical {
    probe: Probe::Reclaim,
    feature: "leaves taken by reclaim",
    functions: &["try_to_unmap_one"],
    ..MIGRATE
};

pub(super) const EXEC: Logical = Logical {
    probe: Probe::Exec,
    feature: "address spaces replaced by exec",
    functions: &["begin_new_exec"],
    required: &[],
    address: &[],
    needs_result: true,
    offsets: &[TASK_MM],
    ..RANGE
};

pub(super) const EXIT: Logical = Logical {
    probe: Probe::Exit,
    feature: "address spaces torn down",
    functions: &["exit_mmap"],
    required: &[Role::Mm],
    needs_result: false,
    ..EXEC
};

/// `mmap_region` calls the other one, where there is one (mm/mmap.c, mm/vma.c).
pub(super) const VMA_MAP: Logical = Logical {
    probe: Probe::VmaMap,
    feature: "mappings made",
    functions: &["__mmap_region", "mmap_region"],
    required: &[Role::Address, Role::Len],
    address: &["addr"],
    ..EXEC
};

/// munmap, a shrinking brk and mremap come through these. What a new mapping replaces does not, from
/// 6.12 on.
pub(super) const VMA_UNMAP: Logical = Logical {
    probe: Probe::VmaUnmap,
    feature: "ranges unmapped",
    functions: &["do_vmi_align_munmap", "do_mas_align_munmap", "__do_munmap"],
    required: &[Role::Mm, Role::Address],
    address: &["start"],
    optional: &[Role::End, Role::Len],
    ..EXEC
};

pub(super) const VMA_BRK: Logical = Logical {
    probe: Probe::VmaBrk,
    feature: "growth of the heap",
    functions: &["do_brk_flags"],
    ..VMA_MAP
};

pub(super) const VMA_GROW: Logical = Logical {
    probe: Probe::VmaGrow,
    feature: "growth of stacks",
    functions: &["expand_downwards"],
    required: &[Role::Vma, Role::Address],
    address: &["address"],
    offsets: &[TASK_MM, VMA_MM, VMA_START],
    ..EXEC
};

pub(super) const VMA_LINK: Logical = Logical {
    probe: Probe::VmaLink,
    feature: "VMAs copied by mremap, and special ones",
    functions: &["vma_link"],
    required: &[Role::Mm, Role::Vma],
    needs_result: false,
    offsets: &[TASK_MM, VMA_START, VMA_END],
    ..EXEC
};

/// Every split, merge and resize ends in these; until 6.1 some merges are a part of `mmap_region` and
/// `do_brk_flags`.
pub(super) const VMA_ADJUST: Logical = Logical {
    probe: Probe::VmaAdjust,
    feature: "VMAs split, merged and resized",
    functions: &["vma_complete", "__vma_adjust"],
    required: &[Role::Vma, Role::Address, Role::End, Role::Insert],
    address: &["start"],
    needs_result: false,
    offsets: &[TASK_MM, VMA_MM, VMA_START, VMA_END],
    packed: Some(Packed {
        required: &[Role::Mm, Role::Prepare],
        offsets: &[PREPARE_VMA, PREPARE_NEXT, PREPARE_INSERT, PREPARE_REMOVE],
    }),
    ..EXEC
};

/// One call for each table of PTEs of each VMA that swapoff looks at (mm/swapfile.c, `unuse_vma`).
pub(super) const UNUSE: Logical = Logical {
    probe: Probe::Unuse,
    feature: "swap entries that become leaves at swapoff",
    functions: &["unuse_pte_range"],
    address: &["addr"],
    needs_result: true,
    ..RANGE
};

/// Contains `replace_page`. Which address it is about follows from the page, as the function itself finds it
/// (`write_protect_page`, mm/ksm.c).
pub(super) const KSM_MERGE: Logical = Logical {
    probe: Probe::KsmMerge,
    feature: "pages merged by KSM",
    functions: &["try_to_merge_one_page"],
    required: &[Role::Vma, Role::Page, Role::OtherPage],
    address: &[],
    needs_result: true,
    offsets: &[TASK_MM, VMA_MM, VMA_START, VMA_END, VMA_PGOFF, PAGE_INDEX],
    ..RANGE
};

/// Where PUD leaves are generic mm's: memory of DAX devices (mm/huge_memory.c). Only entered for a leaf.
pub(super) const PUD_SPLIT: Logical = Logical {
    probe: Probe::PudSplit,
    feature: "PUD splits",
    functions: &["__split_huge_pud"],
    required: &[Role::Vma, Role::Address],
    address: &["address"],
    ..RANGE
};
