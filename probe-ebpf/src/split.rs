//! Splits of PMD leaves and of folios.
//!
//! ```c
//! void __split_huge_pmd_locked(struct vm_area_struct *vma, pmd_t *pmd, unsigned long haddr, bool freeze);
//! void split_huge_pmd_locked(struct vm_area_struct *vma, unsigned long address, pmd_t *pmd, bool freeze);
//! void __split_huge_pmd(struct vm_area_struct *vma, pmd_t *pmd, unsigned long address, bool freeze);
//! int __folio_split(struct folio *folio, unsigned int new_order, ...);
//! int split_huge_page_to_list_to_order(struct page *page, struct list_head *list, unsigned int new_order);
//! int split_huge_page_to_list(struct page *page, struct list_head *list);
//! ```
//!
//! The last two functions for PMDs are also entered when nothing is split: the entry is looked at
//! before and after.

use probe_common::{
    entry::is_leaf,
    probe::Probe,
    split::{FolioSplitRecord, PmdSplitRecord},
};

use crate::{
    config::{offset, position, returned},
    context::Context,
    counters::{Fate, count},
    diagnose,
    kernel::{read, read_integer},
    operation::{Of, begin, end, wanted_target},
    output::finish,
    target::Actor,
};

#[inline(always)]
pub fn enter_pmd<C: Context>(context: C, probe: Probe) {
    let vma = context.argument(position!(probe, vma));
    let pmd = context.argument(position!(probe, pmd));
    let address = context.argument(position!(probe, address));
    let freeze = context.argument(position!(probe, freeze)) & 1;
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let before: u64 = read_integer(pmd).unwrap_or_else(|| {
        diagnose::unreadable(probe);
        0
    });
    if is_leaf(before) {
        begin(probe, Of::Mm(mm), freeze as u32, [address, before, pmd]);
    } else if wanted_target(probe, Actor::current(), Of::Mm(mm)).is_some() {
        count(probe, Fate::Ignored);
    }
}

#[inline(always)]
pub fn exit_pmd<C: Context>(context: C, probe: Probe) {
    let Some(operation) = end(probe) else {
        return;
    };
    let [address, before, pmd] = operation.words;
    let after: u64 = read_integer(pmd).unwrap_or(0);
    if is_leaf(after) {
        count(probe, Fate::Ignored);
        return;
    }
    finish(context, probe, &operation, |header| PmdSplitRecord {
        header,
        address,
        before,
        after,
        freeze: operation.small,
        reserved: 0,
    });
}

#[inline(always)]
pub fn enter_folio<C: Context>(context: C, probe: Probe) {
    // A folio does not tell who maps it; where there is no such argument, the order is 0.
    let new_order = context.argument(position!(probe, order)) as u32;
    begin(probe, Of::Actor, new_order, [0; 3]);
}

#[inline(always)]
pub fn exit_folio<C: Context>(context: C, probe: Probe) {
    let Some(operation) = end(probe) else {
        return;
    };
    let result = returned(context, probe).unwrap_or(0) as i32;
    finish(context, probe, &operation, |header| FolioSplitRecord {
        header,
        new_order: operation.small,
        result,
    });
}
