//! The callbacks by which the kernel's page walkers are known (`struct mm_walk_ops`).

/// Callback functions of the walkers in 5.10 to 7.3. A walker whose callback is not here is still
/// counted; only its name is not known.
pub const CALLBACKS: [&str; 46] = [
    "break_ksm_pmd_entry",
    "clear_refs_pte_range",
    "damon_mkold_hugetlb_entry",
    "damon_mkold_pmd_entry",
    "damon_young_hugetlb_entry",
    "damon_young_pmd_entry",
    "gather_hugetlb_stats",
    "gather_pte_stats",
    "guard_install_pmd_entry",
    "guard_install_pte_entry",
    "guard_install_pud_entry",
    "guard_remove_pmd_entry",
    "guard_remove_pte_entry",
    "guard_remove_pud_entry",
    "hmm_vma_walk_hugetlb_entry",
    "hmm_vma_walk_pmd",
    "hmm_vma_walk_pud",
    "hwpoison_hugetlb_range",
    "hwpoison_pte_range",
    "ksm_next_page_pmd_entry",
    "madvise_cold_or_pageout_pte_range",
    "madvise_free_pte_range",
    "mem_cgroup_count_precharge_pte_range",
    "mem_cgroup_move_charge_pte_range",
    "migrate_vma_collect_pmd",
    "mincore_hugetlb",
    "mincore_pte_range",
    "mincore_pud_entry",
    "mlock_pte_range",
    "pagemap_hugetlb_range",
    "pagemap_pmd_range",
    "pagemap_scan_hugetlb_entry",
    "pagemap_scan_pmd_entry",
    "prot_none_hugetlb_entry",
    "prot_none_pte_entry",
    "queue_folios_hugetlb",
    "queue_folios_pte_range",
    "queue_pages_hugetlb",
    "queue_pages_pte_range",
    "smaps_hugetlb_range",
    "smaps_pte_range",
    "subpage_walk_pmd_entry",
    "swapin_walk_pmd_entry",
    "vmemmap_pmd_entry",
    "vmemmap_pte_entry",
    "walk_pud_range",
];

#[cfg(test)]
mod tests {
    use super::CALLBACKS;

    #[test]
    fn callbacks_are_sorted_and_unique() {
        assert!(CALLBACKS.is_sorted_by(|a, b| a < b));
    }
}
