//! The callbacks by which the kernel's page walkers are known (`struct mm_walk_ops`).

/// A walker's callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The function.
    pub name: &'static str,
    /// It changes leaves, or may; not when it only looks, or only moves accessed and dirty bits.
    pub changes_leaves: bool,
}

const fn reader(name: &'static str) -> Callback {
    Callback { name, changes_leaves: false }
}

const fn writer(name: &'static str) -> Callback {
    Callback { name, changes_leaves: true }
}

/// Callback functions of the walkers in 5.10 to 7.3. A walker whose callback is not here is still
/// counted; only its name is not known.
pub const CALLBACKS: [Callback; 46] = [
    // What is merged is found by it; a fault breaks it.
    reader("break_ksm_pmd_entry"),
    reader("clear_refs_pte_range"),
    reader("damon_mkold_hugetlb_entry"),
    reader("damon_mkold_pmd_entry"),
    reader("damon_young_hugetlb_entry"),
    reader("damon_young_pmd_entry"),
    reader("gather_hugetlb_stats"),
    reader("gather_pte_stats"),
    writer("guard_install_pmd_entry"),
    writer("guard_install_pte_entry"),
    writer("guard_install_pud_entry"),
    writer("guard_remove_pmd_entry"),
    writer("guard_remove_pte_entry"),
    writer("guard_remove_pud_entry"),
    writer("hmm_vma_walk_hugetlb_entry"),
    writer("hmm_vma_walk_pmd"),
    writer("hmm_vma_walk_pud"),
    reader("hwpoison_hugetlb_range"),
    reader("hwpoison_pte_range"),
    reader("ksm_next_page_pmd_entry"),
    writer("madvise_cold_or_pageout_pte_range"),
    writer("madvise_free_pte_range"),
    reader("mem_cgroup_count_precharge_pte_range"),
    reader("mem_cgroup_move_charge_pte_range"),
    writer("migrate_vma_collect_pmd"),
    reader("mincore_hugetlb"),
    reader("mincore_pte_range"),
    reader("mincore_pud_entry"),
    reader("mlock_pte_range"),
    reader("pagemap_hugetlb_range"),
    reader("pagemap_pmd_range"),
    reader("pagemap_scan_hugetlb_entry"),
    reader("pagemap_scan_pmd_entry"),
    reader("prot_none_hugetlb_entry"),
    reader("prot_none_pte_entry"),
    reader("queue_folios_hugetlb"),
    reader("queue_folios_pte_range"),
    reader("queue_pages_hugetlb"),
    reader("queue_pages_pte_range"),
    reader("smaps_hugetlb_range"),
    reader("smaps_pte_range"),
    writer("subpage_walk_pmd_entry"),
    reader("swapin_walk_pmd_entry"),
    writer("vmemmap_pmd_entry"),
    writer("vmemmap_pte_entry"),
    writer("walk_pud_range"),
];

/// Whether a walk with this callback may change leaves; so may one that is not known.
#[must_use]
pub fn changes_leaves(name: &str) -> bool {
    let known = CALLBACKS.iter().find(|callback| callback.name == name);
    known.is_none_or(|callback| callback.changes_leaves)
}

#[cfg(test)]
mod tests {
    use super::{CALLBACKS, changes_leaves};

    #[test]
    fn callbacks_are_sorted_and_unique() {
        assert!(CALLBACKS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn who_only_looks_changes_nothing() {
        assert!(!changes_leaves("smaps_pte_range") && !changes_leaves("clear_refs_pte_range"));
        assert!(changes_leaves("guard_install_pte_entry") && changes_leaves("of_a_later_kernel"));
    }
}
