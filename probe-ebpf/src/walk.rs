//! The page walker of mm/pagewalk.c and its callbacks.
//!
//! ```c
//! int __walk_page_range(unsigned long start, unsigned long end, struct mm_walk *walk);
//! int smaps_pte_range(pmd_t *pmd, unsigned long addr, unsigned long end, struct mm_walk *walk);
//! int smaps_hugetlb_range(pte_t *pte, unsigned long hmask, unsigned long addr, unsigned long end, struct mm_walk *walk);
//! ```

use probe_common::{
    probe::Probe,
    walk::{GENERIC, HUGETLB, WalkRecord},
};

use crate::{
    config::{offset, position, returned},
    context::Context,
    kernel::read,
    operation::{Of, begin, end},
    output::finish,
};

/// `VM_HUGETLB` (`include/linux/mm.h`): bit 22 since it exists.
const VM_HUGETLB: u64 = 1 << 22;

/// `__walk_page_range`: `walk->ops` tells who walks.
#[inline(always)]
pub fn enter_vma<C: Context>(context: C, probe: Probe) {
    let walk = context.argument(position!(probe, walk));
    let vma: u64 = read(walk, offset!(mm_walk_vma)).unwrap_or(0);
    let flags: u64 = read(vma, offset!(vm_area_struct_vm_flags)).unwrap_or(0);
    let path = if flags & VM_HUGETLB != 0 { HUGETLB } else { GENERIC };
    let ops: u64 = read(walk, offset!(mm_walk_ops)).unwrap_or(0);
    remember(context, probe, vma, path, callback(ops, path));
}

/// A callback of the generic path.
#[inline(always)]
pub fn enter_generic<C: Context>(context: C, probe: Probe) {
    let walk = context.argument(position!(probe, walk));
    let vma = read(walk, offset!(mm_walk_vma)).unwrap_or(0);
    remember(context, probe, vma, GENERIC, 0);
}

/// A callback of the hugetlb path.
#[inline(always)]
pub fn enter_hugetlb<C: Context>(context: C, probe: Probe) {
    let walk = context.argument(position!(probe, walk));
    let vma = read(walk, offset!(mm_walk_vma)).unwrap_or(0);
    remember(context, probe, vma, HUGETLB, 0);
}

#[inline(always)]
fn remember<C: Context>(context: C, probe: Probe, vma: u64, path: u32, callback: u64) {
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let start = context.argument(position!(probe, address));
    let end = context.argument(position!(probe, end));
    begin(probe, Of::Mm(mm), path, [start, end, callback]);
}

/// The callback that names the walker. A walker without a hugetlb callback skips hugetlb VMAs:
/// then it is named by the other ones.
#[inline(always)]
fn callback(ops: u64, path: u32) -> u64 {
    if path == HUGETLB
        && let Some(entry) = read::<u64>(ops, offset!(mm_walk_ops_hugetlb_entry))
        && entry != 0
    {
        return entry;
    }
    if let Some(entry) = read::<u64>(ops, offset!(mm_walk_ops_pmd_entry))
        && entry != 0
    {
        return entry;
    }
    if let Some(entry) = read::<u64>(ops, offset!(mm_walk_ops_pte_entry))
        && entry != 0
    {
        return entry;
    }
    read(ops, offset!(mm_walk_ops_pud_entry)).unwrap_or(0)
}

#[inline(always)]
pub fn exit<C: Context>(context: C, probe: Probe) {
    let Some(operation) = end(probe) else {
        return;
    };
    let [start, end, callback] = operation.words;
    let result = returned(context, probe).unwrap_or(0) as i32;
    finish(context, probe, &operation, |header| WalkRecord {
        header,
        start,
        end,
        callback,
        result,
        path: operation.small,
    });
}
