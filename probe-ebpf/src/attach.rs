//! The programs: each probe's handlers as fentry/fexit, as kprobe/kretprobe, and as raw tracepoint.
//!
//! A program's name is the probe's name and the kind of program; user space finds it by that.

use aya_ebpf::{
    EbpfContext as _,
    macros::{fentry, fexit, kprobe, kretprobe, raw_tracepoint},
    programs::{FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext},
};
use probe_common::probe::Probe;

use crate::{
    collapse,
    context::{Registers, Words},
    fault, split, walk,
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

/// Programs that do nothing: whether the kernel takes them shows what it allows.
mod trial {
    use super::*;

    #[fentry]
    fn trial_fentry(_context: FEntryContext) -> i32 {
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
}
