//! The programs: each probe's handlers as fentry/fexit, as kprobe/kretprobe, and as raw tracepoint.
//!
//! A program's name is the probe's name and the kind of program; user space finds it by that.

use aya_ebpf::{
    EbpfContext as _,
    helpers::bpf_get_current_task,
    macros::{fentry, fexit, kprobe, kretprobe, raw_tracepoint},
    programs::{FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext},
};
use probe_common::probe::Probe;

use crate::{
    change, collapse,
    context::{Registers, Words},
    direct, fault, follow, slots, split, vma, walk,
};

macro_rules! function {
    ($probe:ident: $enter:path, $exit:path;
     $fentry:ident, $fexit:ident, $kprobe:ident, $kretprobe:ident) => {
        #[fentry]
        fn $fentry(context: FEntryContext) -> i32 {
            $enter(Words(context.as_ptr()), Probe::$probe);
            0
        }

        #[fexit]
        fn $fexit(context: FExitContext) -> i32 {
            $exit(Words(context.as_ptr()), Probe::$probe);
            0
        }

        #[kprobe]
        fn $kprobe(context: ProbeContext) -> u32 {
            $enter(Registers(context.as_ptr()), Probe::$probe);
            0
        }

        #[kretprobe]
        fn $kretprobe(context: RetProbeContext) -> u32 {
            $exit(Registers(context.as_ptr()), Probe::$probe);
            0
        }
    };
}

macro_rules! tracepoint {
    ($probe:ident: $handler:path; $raw_tracepoint:ident) => {
        #[raw_tracepoint]
        fn $raw_tracepoint(context: RawTracePointContext) -> i32 {
            $handler(Words(context.as_ptr()), Probe::$probe);
            0
        }
    };
}

function!(HugetlbFault: fault::enter_hugetlb, fault::exit;
    hugetlb_fault_fentry, hugetlb_fault_fexit, hugetlb_fault_kprobe, hugetlb_fault_kretprobe);
function!(MmFault: fault::enter, fault::exit;
    mm_fault_fentry, mm_fault_fexit, mm_fault_kprobe, mm_fault_kretprobe);
tracepoint!(MmFault: fault::tracepoint; mm_fault_tracepoint);
function!(ThpFault: fault::enter_vmf, fault::exit;
    thp_fault_fentry, thp_fault_fexit, thp_fault_kprobe, thp_fault_kretprobe);
function!(ThpWpFault: fault::enter_vmf, fault::exit;
    thp_wp_fault_fentry, thp_wp_fault_fexit, thp_wp_fault_kprobe, thp_wp_fault_kretprobe);
function!(ThpFileFault: fault::enter_vmf, fault::exit;
    thp_file_fault_fentry, thp_file_fault_fexit, thp_file_fault_kprobe, thp_file_fault_kretprobe);
function!(ThpNumaFault: fault::enter_vmf, fault::exit;
    thp_numa_fault_fentry, thp_numa_fault_fexit, thp_numa_fault_kprobe, thp_numa_fault_kretprobe);

function!(PmdSplit: split::enter_pmd, split::exit_pmd;
    pmd_split_fentry, pmd_split_fexit, pmd_split_kprobe, pmd_split_kretprobe);
function!(FolioSplit: split::enter_folio, split::exit_folio;
    folio_split_fentry, folio_split_fexit, folio_split_kprobe, folio_split_kretprobe);

function!(Collapse: collapse::enter, collapse::exit;
    collapse_fentry, collapse_fexit, collapse_kprobe, collapse_kretprobe);
tracepoint!(Collapse: collapse::tracepoint; collapse_tracepoint);
function!(CollapseFile: collapse::enter, collapse::exit;
    collapse_file_fentry, collapse_file_fexit, collapse_file_kprobe, collapse_file_kretprobe);
tracepoint!(CollapseFile: collapse::tracepoint; collapse_file_tracepoint);
function!(CollapseRequest: collapse::enter_request, collapse::exit;
    collapse_request_fentry, collapse_request_fexit, collapse_request_kprobe, collapse_request_kretprobe);
function!(CollapseMapped: collapse::enter, collapse::exit;
    collapse_mapped_fentry, collapse_mapped_fexit, collapse_mapped_kprobe, collapse_mapped_kretprobe);

function!(WalkVma: walk::enter_vma, walk::exit;
    walk_vma_fentry, walk_vma_fexit, walk_vma_kprobe, walk_vma_kretprobe);
function!(WalkSmaps: walk::enter_generic, walk::exit;
    walk_smaps_fentry, walk_smaps_fexit, walk_smaps_kprobe, walk_smaps_kretprobe);
function!(WalkSmapsHugetlb: walk::enter_hugetlb, walk::exit;
    walk_smaps_hugetlb_fentry, walk_smaps_hugetlb_fexit, walk_smaps_hugetlb_kprobe, walk_smaps_hugetlb_kretprobe);
function!(WalkPagemap: walk::enter_generic, walk::exit;
    walk_pagemap_fentry, walk_pagemap_fexit, walk_pagemap_kprobe, walk_pagemap_kretprobe);
function!(WalkPagemapHugetlb: walk::enter_hugetlb, walk::exit;
    walk_pagemap_hugetlb_fentry, walk_pagemap_hugetlb_fexit, walk_pagemap_hugetlb_kprobe, walk_pagemap_hugetlb_kretprobe);

function!(Zap: change::enter_zap, change::exit;
    zap_fentry, zap_fexit, zap_kprobe, zap_kretprobe);
function!(ZapHugetlb: change::enter_zap, change::exit;
    zap_hugetlb_fentry, zap_hugetlb_fexit, zap_hugetlb_kprobe, zap_hugetlb_kretprobe);
function!(Protect: change::enter, change::exit;
    protect_fentry, protect_fexit, protect_kprobe, protect_kretprobe);
function!(Move: change::enter_move, change::exit;
    move_fentry, move_fexit, move_kprobe, move_kretprobe);
function!(Fork: change::enter_fork, change::exit;
    fork_fentry, fork_fexit, fork_kprobe, fork_kretprobe);
function!(Share: change::enter_share, change::exit;
    share_fentry, share_fexit, share_kprobe, share_kretprobe);
function!(Unshare: change::enter, change::exit;
    unshare_fentry, unshare_fexit, unshare_kprobe, unshare_kretprobe);
function!(Uffd: change::enter_uffd, change::exit;
    uffd_fentry, uffd_fexit, uffd_kprobe, uffd_kretprobe);
function!(Retract: change::enter_everyone, change::exit;
    retract_fentry, retract_fexit, retract_kprobe, retract_kretprobe);

function!(Unuse: change::enter, change::exit;
    unuse_fentry, unuse_fexit, unuse_kprobe, unuse_kretprobe);
function!(KsmMerge: change::enter_merge, change::exit_merge;
    ksm_merge_fentry, ksm_merge_fexit, ksm_merge_kprobe, ksm_merge_kretprobe);
function!(PudSplit: change::enter_pud, change::exit;
    pud_split_fentry, pud_split_fexit, pud_split_kprobe, pud_split_kretprobe);

function!(Migrate: change::enter_folio, change::exit;
    migrate_fentry, migrate_fexit, migrate_kprobe, migrate_kretprobe);
function!(Restore: change::enter_folio, change::exit;
    restore_fentry, restore_fexit, restore_kprobe, restore_kretprobe);
function!(Reclaim: change::enter_folio, change::exit;
    reclaim_fentry, reclaim_fexit, reclaim_kprobe, reclaim_kretprobe);

function!(Exec: vma::enter_exec, change::exit;
    exec_fentry, exec_fexit, exec_kprobe, exec_kretprobe);
function!(Exit: vma::enter_exit, change::exit;
    exit_fentry, exit_fexit, exit_kprobe, exit_kretprobe);
function!(VmaMap: vma::enter_map, change::exit;
    vma_map_fentry, vma_map_fexit, vma_map_kprobe, vma_map_kretprobe);
function!(VmaUnmap: vma::enter_unmap, change::exit;
    vma_unmap_fentry, vma_unmap_fexit, vma_unmap_kprobe, vma_unmap_kretprobe);
function!(VmaBrk: vma::enter_map, change::exit;
    vma_brk_fentry, vma_brk_fexit, vma_brk_kprobe, vma_brk_kretprobe);
function!(VmaGrow: vma::enter_grow, change::exit;
    vma_grow_fentry, vma_grow_fexit, vma_grow_kprobe, vma_grow_kretprobe);
function!(VmaLink: vma::enter_link, change::exit;
    vma_link_fentry, vma_link_fexit, vma_link_kprobe, vma_link_kretprobe);
function!(VmaAdjust: vma::enter_adjust, change::exit;
    vma_adjust_fentry, vma_adjust_fexit, vma_adjust_kprobe, vma_adjust_kretprobe);

/// Which processes become wanted.
mod following {
    use super::*;

    #[raw_tracepoint]
    fn follow_fork(context: RawTracePointContext) -> i32 {
        follow::fork(Words(context.as_ptr()));
        0
    }

    #[raw_tracepoint]
    fn follow_exec(_context: RawTracePointContext) -> i32 {
        follow::exec();
        0
    }
}

/// Programs that do nothing: whether the kernel takes them shows what it allows.
mod trial {
    use super::*;

    #[fentry]
    fn trial_fentry(_context: FEntryContext) -> i32 {
        0
    }

    /// Run on request, it lets the kernel call the functions that are there to be tried.
    #[fexit]
    fn trial_fexit(_context: FExitContext) -> i32 {
        0
    }

    #[kprobe]
    fn trial_kprobe(_context: ProbeContext) -> u32 {
        0
    }

    #[raw_tracepoint]
    fn trial_tracepoint(_context: RawTracePointContext) -> i32 {
        0
    }

    /// What [`direct`] does.
    #[raw_tracepoint]
    fn trial_cast(_context: RawTracePointContext) -> i32 {
        let word: Option<u64> = direct::integer(unsafe { bpf_get_current_task() });
        i32::from(word.is_some())
    }

    /// What [`slots`] does.
    #[raw_tracepoint]
    fn trial_exchange(_context: RawTracePointContext) -> i32 {
        slots::try_exchange();
        0
    }
}
