//! Page-table entries of x86-64: all that the scan must know about the architecture.

/// Entries of a table, at every level.
pub const ENTRIES: usize = 512;

/// Bytes that one entry covers, as a binary logarithm, from the last level to the top.
pub const PTE_SHIFT: u32 = 12;
/// One entry of a PMD table.
pub const PMD_SHIFT: u32 = 21;
/// One entry of a PUD table.
pub const PUD_SHIFT: u32 = 30;
/// One entry of a P4D table.
pub const P4D_SHIFT: u32 = 39;
/// One entry of a PGD table, with five levels.
pub const PGD_SHIFT: u32 = 48;

/// The address in an entry: 52 bits at most (`__PHYSICAL_MASK_SHIFT`, `arch/x86/include/asm/page_types.h`).
pub const PHYSICAL_MASK: u64 = 0x000f_ffff_ffff_f000;

/// Bits of an entry at any level (`arch/x86/include/asm/pgtable_types.h`).
#[expect(missing_docs, reason = "the kernel's names, without _PAGE_")]
pub mod bits {
    pub const PRESENT: u64 = 1;
    pub const WRITABLE: u64 = 1 << 1;
    pub const YOUNG: u64 = 1 << 5;
    pub const DIRTY: u64 = 1 << 6;
    /// Huge, above the last level.
    pub const PSE: u64 = 1 << 7;
    /// PROT_NONE or a NUMA hint, in an entry that is not present for the CPU.
    pub const PROT_NONE: u64 = 1 << 8;
    /// A page of zeroes, or a bare page frame.
    pub const SPECIAL: u64 = 1 << 9;
    pub const UFFD_WP: u64 = 1 << 10;
    pub const SOFT_DIRTY: u64 = 1 << 11;
    /// Dirty, kept out of the way of shadow stacks (Linux 6.6).
    pub const SAVED_DIRTY: u64 = 1 << 58;
    /// What tells entries apart that hold memory, their address and marks left out.
    pub const CLASS: u64 = PRESENT | PROT_NONE | SPECIAL;
    pub const MARKS: u64 = WRITABLE | YOUNG | DIRTY | UFFD_WP | SOFT_DIRTY | SAVED_DIRTY;
}

/// Which entry of a table stands for an address; `shift` says of which level.
#[inline]
#[must_use]
pub const fn index(address: u64, shift: u32) -> u64 {
    (address >> shift) & (ENTRIES as u64 - 1)
}

/// Whether an entry above the last level points to a table.
#[inline]
#[must_use]
pub const fn is_table(entry: u64) -> bool {
    entry & (bits::PRESENT | bits::PSE) == bits::PRESENT
}

/// Whether an entry above the last level is a leaf: it maps memory, or holds a value that is not present.
#[inline]
#[must_use]
pub const fn is_leaf(entry: u64) -> bool {
    entry != 0 && !is_table(entry)
}

/// Whether the kernel says that there is a page: present, or PROT_NONE (`pte_present`).
#[inline]
#[must_use]
pub const fn is_mapped(entry: u64) -> bool {
    entry & (bits::PRESENT | bits::PROT_NONE) != 0
}

/// Whether an entry above the last level maps memory itself (`pmd_leaf`, `pmd_present`: also while
/// it is invalidated for a split).
#[inline]
#[must_use]
pub const fn is_huge(entry: u64) -> bool {
    entry & bits::PSE != 0
}

/// PROT_NONE or a NUMA hint: there is a page, and every access traps.
#[inline]
#[must_use]
pub const fn traps(entry: u64) -> bool {
    entry & (bits::PRESENT | bits::PROT_NONE) == bits::PROT_NONE
}

/// The page frame that an entry maps; `shift` says of which level. The address of an entry that is
/// not present is stored inverted (`protnone_mask`, `arch/x86/include/asm/pgtable-invert.h`).
#[inline]
#[must_use]
pub const fn frame(entry: u64, shift: u32) -> u64 {
    let address = if entry & bits::PRESENT == 0 && traps(entry) { !entry } else { entry };
    (address & PHYSICAL_MASK & !((1 << shift) - 1)) >> PTE_SHIFT
}

/// The swap type of a non-present entry (`__swp_type`, `arch/x86/include/asm/pgtable_64.h`).
#[inline]
#[must_use]
pub const fn swap_type(entry: u64) -> u64 {
    entry >> 59
}

/// The swap offset of a non-present entry, which is stored inverted (`__swp_offset`).
#[inline]
#[must_use]
pub const fn swap_offset(entry: u64) -> u64 {
    (!entry << 5) >> 14
}
