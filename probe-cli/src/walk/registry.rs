//! The walkers as data: adding one is adding a row.
//!
//! Names of functions are those of Linux 5.10 to 7.3; which of them a kernel has is for
//! [`crate::plan::walks`] to find out.

use super::site::{Over, Shape, Site};

/// A user of the page tables.
#[derive(Clone, Copy, Debug)]
pub struct Walker {
    /// What people call it.
    pub name: &'static str,
    /// What makes the kernel do it.
    pub trigger: &'static str,
    /// Its functions.
    pub sites: &'static [Site],
    /// Why hugetlb VMAs are not walked, where no function serves them.
    pub no_hugetlb: &'static str,
}

const fn site(over: Over, shape: Shape, functions: &'static [&'static str]) -> Site {
    Site { over, shape, functions }
}

/// A `pmd_entry` callback.
const fn pmd(functions: &'static [&'static str]) -> Site {
    site(Over::Generic, Shape::Pmd, functions)
}

/// A `pte_entry` callback.
const fn pte(functions: &'static [&'static str]) -> Site {
    site(Over::Generic, Shape::Pte, functions)
}

/// A `hugetlb_entry` callback.
const fn hugetlb(functions: &'static [&'static str]) -> Site {
    site(Over::Hugetlb, Shape::Hugetlb, functions)
}

/// A function that is given the VMA, of whatever path.
const fn both(shape: Shape, functions: &'static [&'static str]) -> Site {
    site(Over::Both, shape, functions)
}

/// The walker of mm/pagewalk.c enters no hugetlb VMA for it (`__walk_page_range`).
const NO_CALLBACK: &str = "has no hugetlb callback: hugetlb VMAs are skipped";
/// It asks for the VMAs first.
const REFUSED: &str = "refuses hugetlb VMAs";
/// There is nothing for it in them.
const NOT_HUGETLB: &str = "never concerns hugetlb VMAs";

/// Every walker, in the order in which people read them.
pub const WALKERS: &[Walker] = &[
    Walker {
        name: "smaps",
        trigger: "reading smaps or smaps_rollup of /proc/PID",
        sites: &[pmd(&["smaps_pte_range"]), hugetlb(&["smaps_hugetlb_range"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "pagemap",
        trigger: "reading /proc/PID/pagemap",
        sites: &[pmd(&["pagemap_pmd_range"]), hugetlb(&["pagemap_hugetlb_range"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "pagemap_scan",
        trigger: "ioctl PAGEMAP_SCAN",
        sites: &[pmd(&["pagemap_scan_pmd_entry"]), hugetlb(&["pagemap_scan_hugetlb_entry"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "clear_refs",
        trigger: "writing to /proc/PID/clear_refs",
        sites: &[pmd(&["clear_refs_pte_range"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "numa_maps",
        trigger: "reading /proc/PID/numa_maps",
        sites: &[pmd(&["gather_pte_stats"]), hugetlb(&["gather_hugetlb_stats"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "mempolicy",
        trigger: "mbind with MPOL_MF_STRICT or MPOL_MF_MOVE, migrate_pages(2)",
        sites: &[
            pmd(&["queue_folios_pte_range", "queue_pages_pte_range"]),
            hugetlb(&["queue_folios_hugetlb", "queue_pages_hugetlb"]),
        ],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "mincore",
        trigger: "mincore(2)",
        sites: &[pmd(&["mincore_pte_range"]), hugetlb(&["mincore_hugetlb"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "move_pages",
        trigger: "move_pages(2), by page; KSM",
        sites: &[both(Shape::Leaf, &["folio_walk_start", "follow_page"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "cold",
        trigger: "MADV_COLD and MADV_PAGEOUT",
        sites: &[pmd(&["madvise_cold_or_pageout_pte_range"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "free",
        trigger: "MADV_FREE",
        sites: &[pmd(&["madvise_free_pte_range"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "willneed",
        trigger: "MADV_WILLNEED of anonymous memory",
        sites: &[pmd(&["swapin_walk_pmd_entry"])],
        no_hugetlb: NOT_HUGETLB,
    },
    Walker {
        name: "guard_install",
        trigger: "MADV_GUARD_INSTALL, by PTE",
        sites: &[pte(&["guard_install_set_pte"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "guard_remove",
        trigger: "MADV_GUARD_REMOVE, by PTE",
        sites: &[pte(&["guard_remove_pte_entry"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "populate",
        trigger: "MAP_POPULATE, mlock, and MADV_POPULATE_* of older kernels",
        sites: &[both(Shape::Range, &["populate_vma_page_range"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "populate_advice",
        trigger: "MADV_POPULATE_READ and MADV_POPULATE_WRITE",
        sites: &[
            site(Over::Untold, Shape::Span, &["faultin_page_range"]),
            both(Shape::Range, &["faultin_vma_page_range"]),
        ],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "mlock",
        trigger: "mlock and munlock",
        sites: &[pmd(&["mlock_pte_range"])],
        no_hugetlb: "hugetlb pages are never swapped: hugetlb VMAs are not walked",
    },
    Walker {
        name: "gup",
        trigger: "get_user_pages and pin_user_pages, the slow ones: ptrace, process_vm_readv, KVM, populate",
        sites: &[
            site(Over::Untold, Shape::Pages, &["__get_user_pages"]),
            site(Over::Hugetlb, Shape::Vma, &["follow_hugetlb_page"]),
        ],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "gup_fast",
        trigger: "get_user_pages_fast and pin_user_pages_fast: O_DIRECT, vmsplice, io_uring, futex",
        sites: &[site(
            Over::Untold,
            Shape::OwnPages,
            &["gup_fast_fallback", "internal_get_user_pages_fast"],
        )],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "protect",
        trigger: "mprotect, NUMA hints, UFFDIO_WRITEPROTECT",
        sites: &[both(Shape::Range, &["change_protection"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "prot_none",
        trigger: "mprotect(PROT_NONE) of memory of devices",
        sites: &[pte(&["prot_none_pte_entry"]), hugetlb(&["prot_none_hugetlb_entry"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "zap",
        trigger: "munmap, MADV_DONTNEED, truncate, exit",
        sites: &[
            site(Over::Generic, Shape::Range, &["__zap_vma_range", "unmap_page_range"]),
            site(Over::Hugetlb, Shape::Range, &["__unmap_hugepage_range"]),
        ],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "fork",
        trigger: "fork, by VMA",
        sites: &[both(Shape::Whole, &["copy_page_range"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "mremap",
        trigger: "mremap that moves; the stack at exec",
        sites: &[both(Shape::Move, &["move_page_tables"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "free_tables",
        trigger: "munmap and exit: the tables themselves",
        sites: &[site(Over::Untold, Shape::OwnSpan, &["free_pgd_range"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "rmap_migrate",
        trigger: "migration and folio splits: a folio is unmapped, by VMA",
        sites: &[both(Shape::Vma, &["try_to_migrate_one"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "rmap_restore",
        trigger: "migration and folio splits: a folio is mapped again, by VMA",
        sites: &[both(Shape::Vma, &["remove_migration_pte"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "rmap_unmap",
        trigger: "reclaim and memory failure: a folio is unmapped, by VMA",
        sites: &[both(Shape::Vma, &["try_to_unmap_one"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "rmap_referenced",
        trigger: "reclaim: was a folio used, by VMA",
        sites: &[both(Shape::Vma, &["folio_referenced_one", "page_referenced_one"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "rmap_mkclean",
        trigger: "writeback: a folio is write-protected, by VMA",
        sites: &[both(Shape::Vma, &["page_mkclean_one"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "migrate_device",
        trigger: "migration to and from the memory of devices",
        sites: &[pmd(&["migrate_vma_collect_pmd"])],
        no_hugetlb: REFUSED,
    },
    Walker {
        name: "hmm",
        trigger: "mirroring by device drivers (hmm_range_fault)",
        sites: &[pmd(&["hmm_vma_walk_pmd"]), hugetlb(&["hmm_vma_walk_hugetlb_entry"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "damon_prepare",
        trigger: "DAMON: accessed bits are cleared",
        sites: &[pmd(&["damon_mkold_pmd_entry"]), hugetlb(&["damon_mkold_hugetlb_entry"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "damon_check",
        trigger: "DAMON: accessed bits are looked at",
        sites: &[pmd(&["damon_young_pmd_entry"]), hugetlb(&["damon_young_hugetlb_entry"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "memory_failure",
        trigger: "a machine check: who maps the page",
        sites: &[pmd(&["hwpoison_pte_range"]), hugetlb(&["hwpoison_hugetlb_range"])],
        no_hugetlb: NO_CALLBACK,
    },
    Walker {
        name: "ksm_scan",
        trigger: "KSM: the next page to be merged",
        sites: &[pmd(&["ksm_next_page_pmd_entry"])],
        no_hugetlb: NOT_HUGETLB,
    },
    Walker {
        name: "ksm_break",
        trigger: "KSM: merged pages are made private again",
        sites: &[pmd(&["break_ksm_pmd_entry"])],
        no_hugetlb: NOT_HUGETLB,
    },
    Walker {
        name: "lru_gen",
        trigger: "aging by the multi-gen LRU, by PUD table",
        sites: &[site(Over::Generic, Shape::Walk, &["walk_pud_range"])],
        no_hugetlb: "skips hugetlb VMAs",
    },
    Walker {
        name: "memcg_move",
        trigger: "moving a task to another memory cgroup (version 1)",
        sites: &[pmd(&["mem_cgroup_move_charge_pte_range"])],
        no_hugetlb: NO_CALLBACK,
    },
    // Proposed in 2025 to replace the callbacks of mm/pagewalk.c; in no kernel up to 7.3. A kernel that has
    // it shows whether its arguments are those that are looked for.
    Walker {
        name: "unified",
        trigger: "users of the proposed walker for both paths (pt_range_walk)",
        sites: &[both(Shape::Range, &["pt_range_walk_start"])],
        no_hugetlb: NO_CALLBACK,
    },
];

/// Every site with its walker; its place in this order is its number.
pub fn sites() -> impl Iterator<Item = (&'static Walker, &'static Site)> {
    WALKERS.iter().flat_map(|walker| walker.sites.iter().map(move |site| (walker, site)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use probe_common::site::{SITES, Shape};

    use super::{WALKERS, sites};
    use crate::walk::callbacks::CALLBACKS;

    #[test]
    fn names_are_unique_and_there_is_room() {
        let names: BTreeSet<_> = WALKERS.iter().map(|walker| walker.name).collect();
        assert_eq!(names.len(), WALKERS.len());
        // The last one is that of the calibration.
        assert!(sites().count() < SITES);
    }

    #[test]
    fn a_function_is_of_one_site() {
        let mut seen = BTreeSet::new();
        for (walker, site) in sites() {
            assert!(!site.functions.is_empty(), "{}", walker.name);
            assert!(site.functions.iter().all(|name| seen.insert(name)), "{}", walker.name);
        }
    }

    #[test]
    fn every_callback_is_known_by_its_name() {
        // Called for a PTE that is empty, beside the callback that names the walker.
        const BESIDE: &str = "guard_install_set_pte";
        for (_, site) in sites() {
            if matches!(site.shape, Shape::Pmd | Shape::Pte | Shape::Hugetlb) {
                for name in site.functions {
                    let known = CALLBACKS.iter().any(|callback| callback.name == *name);
                    assert!(known || *name == BESIDE, "{name}");
                }
            }
        }
    }
}
