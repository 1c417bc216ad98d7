//! Ranges whose leaves are removed, moved, copied or get other permissions, and folios that are
//! unmapped and mapped again.
//!
//! ```c
//! void __zap_vma_range(struct mmu_gather *tlb, struct vm_area_struct *vma, unsigned long start, unsigned long end, ...);
//! void unmap_page_range(struct mmu_gather *tlb, struct vm_area_struct *vma, unsigned long addr, unsigned long end, ...);
//! void __unmap_hugepage_range(struct mmu_gather *tlb, struct vm_area_struct *vma, unsigned long start, unsigned long end, ...);
//! long change_protection(struct mmu_gather *tlb, struct vm_area_struct *vma, unsigned long start, unsigned long end, ...);
//! unsigned long move_page_tables(struct vm_area_struct *vma, unsigned long old_addr, ..., unsigned long new_addr, unsigned long len, ...);
//! unsigned long move_page_tables(struct pagetable_move_control *pmc);
//! int copy_page_range(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma);
//! pte_t *huge_pmd_share(struct mm_struct *mm, ..., unsigned long addr, pud_t *pud);
//! void hugetlb_unshare_pmds(struct vm_area_struct *vma, unsigned long start, unsigned long end, ...);
//! long userfaultfd_ioctl(struct file *file, unsigned cmd, unsigned long arg);
//! int unuse_pte_range(struct vm_area_struct *vma, pmd_t *pmd, unsigned long addr, unsigned long end, unsigned int type);
//! int try_to_merge_one_page(struct vm_area_struct *vma, struct page *page, struct page *kpage);
//! void __split_huge_pud(struct vm_area_struct *vma, pud_t *pud, unsigned long address);
//! void retract_page_tables(struct address_space *mapping, pgoff_t pgoff);
//! bool try_to_migrate_one(struct folio *folio, struct vm_area_struct *vma, unsigned long address, void *arg); // and its kin
//! ```

use probe_common::{change::ChangeRecord, entry::PTE_SHIFT, probe::Probe};

use crate::{
    config::{offset, page_head, position, returned},
    context::Context,
    counters::{Fate, count},
    kernel::{read, read_user},
    operation::{Of, begin, end, is_within, remember, wanted_target},
    output::finish,
    target::Actor,
};

/// `VM_HUGETLB` (`include/linux/mm.h`): bit 22 since it exists.
const VM_HUGETLB: u64 = 1 << 22;

/// The VMA that a function is given, who called it, and the process that it concerns; `None` when nobody wants that one.
#[inline(always)]
fn wanted_vma<C: Context>(context: C, probe: Probe) -> Option<(u64, Actor, u32)> {
    let vma = context.argument(position!(probe, vma));
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let actor = Actor::current();
    let target_tgid = wanted_target(probe, actor, Of::Mm(mm))?;
    Some((vma, actor, target_tgid))
}

/// A range of a VMA. Of a VMA that needs no whole table, `hugetlb_unshare_pmds` is told one that ends before it
/// begins (`hugetlb_unshare_all_pmds`), and has nothing to do.
#[inline(always)]
pub fn enter<C: Context>(context: C, probe: Probe) {
    let Some((_, actor, target_tgid)) = wanted_vma(context, probe) else {
        return;
    };
    let start = context.argument(position!(probe, address));
    let end = context.argument(position!(probe, end));
    if start >= end {
        count(probe, Fate::Ignored);
        return;
    }
    remember(probe, actor, target_tgid, 0, [start, end, 0]);
}

/// Concerns address spaces that the function does not name: whoever watches one is told.
#[inline(always)]
pub fn enter_everyone<C: Context>(_context: C, probe: Probe) {
    remember(probe, Actor::current(), 0, 0, [0, 0, 0]);
}

/// From 7.1 on, `__zap_vma_range` is entered for hugetlb VMAs too and calls
/// `__unmap_hugepage_range`: such a zap is the latter's, as on older kernels. The zaps of
/// `exit_mmap` are one for each VMA, and say nothing that the exit does not.
#[inline(always)]
pub fn enter_zap<C: Context>(context: C, probe: Probe) {
    let Some((vma, actor, target_tgid)) = wanted_vma(context, probe) else {
        return;
    };
    let flags: u64 = read(vma, offset!(vm_area_struct_vm_flags)).unwrap_or(0);
    let is_others = matches!(probe, Probe::Zap) && flags & VM_HUGETLB != 0;
    if is_others || is_within(Probe::Exit, actor) {
        count(probe, Fate::Ignored);
        return;
    }
    let start = context.argument(position!(probe, address));
    let end = context.argument(position!(probe, end));
    remember(probe, actor, target_tgid, 0, [start, end, 0]);
}

/// From 6.16 on the arguments stand in a structure.
#[inline(always)]
pub fn enter_move<C: Context>(context: C, probe: Probe) {
    let object = position!(probe, object);
    let (vma, start, end, to) = if object.is_known() {
        let control = context.argument(object);
        (
            read(control, offset!(pagetable_move_control_old)).unwrap_or(0),
            read(control, offset!(pagetable_move_control_old_addr)).unwrap_or(0),
            read(control, offset!(pagetable_move_control_old_end)).unwrap_or(0),
            read(control, offset!(pagetable_move_control_new_addr)).unwrap_or(0),
        )
    } else {
        let start = context.argument(position!(probe, address));
        (
            context.argument(position!(probe, vma)),
            start,
            start.wrapping_add(context.argument(position!(probe, len))),
            context.argument(position!(probe, other)),
        )
    };
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    begin(probe, Of::Mm(mm), 0, [start, end, to]);
}

/// The range is that of the parent's VMA. The child is not told: it has no PID of its own yet.
#[inline(always)]
pub fn enter_fork<C: Context>(context: C, probe: Probe) {
    let vma = context.argument(position!(probe, vma));
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let start = read(vma, offset!(vm_area_struct_vm_start)).unwrap_or(0);
    let end = read(vma, offset!(vm_area_struct_vm_end)).unwrap_or(0);
    begin(probe, Of::Mm(mm), 0, [start, end, 0]);
}

/// The range is all that one PUD entry maps: user space knows how much that is.
#[inline(always)]
pub fn enter_share<C: Context>(context: C, probe: Probe) {
    let mm = context.argument(position!(probe, mm));
    let address = context.argument(position!(probe, address));
    begin(probe, Of::Mm(mm), 0, [address, 0, 0]);
}

/// The range is all that the PUD entry maps: user space knows how much that is.
#[inline(always)]
pub fn enter_pud<C: Context>(context: C, probe: Probe) {
    let vma = context.argument(position!(probe, vma));
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let address = context.argument(position!(probe, address));
    begin(probe, Of::Mm(mm), 0, [address, 0, 0]);
}

/// A page that is the other one already has nothing to be merged with.
#[inline(always)]
pub fn enter_merge<C: Context>(context: C, probe: Probe) {
    let Some((vma, actor, target_tgid)) = wanted_vma(context, probe) else {
        return;
    };
    let page = context.argument(position!(probe, object));
    if page == context.argument(position!(probe, other)) {
        count(probe, Fate::Ignored);
        return;
    }
    remember(probe, actor, target_tgid, 0, [vma, page, 0]);
}

/// Now the page is a folio of its own, and its index is that of its address in the VMA (`vma_address`,
/// mm/internal.h): the caller holds both. What could not be merged is as it was.
#[inline(always)]
pub fn exit_merge<C: Context>(context: C, probe: Probe) {
    let Some(operation) = end(probe) else {
        return;
    };
    let result = returned(context, probe).unwrap_or(0);
    if result as i32 != 0 {
        count(probe, Fate::Ignored);
        return;
    }
    let [vma, page, _] = operation.words;
    let first: u64 = read(vma, offset!(vm_area_struct_vm_start)).unwrap_or(0);
    let last: u64 = read(vma, offset!(vm_area_struct_vm_end)).unwrap_or(0);
    let offset: u64 = read(vma, offset!(vm_area_struct_vm_pgoff)).unwrap_or(0);
    let index: u64 = read(page, offset!(page_index)).unwrap_or(0);
    let address = first.wrapping_add(index.wrapping_sub(offset) << PTE_SHIFT);
    // Counted in another way, it can be anywhere in the VMA.
    let (start, end) = if address >= first && address < last {
        (address, address + (1 << PTE_SHIFT))
    } else {
        (first, last)
    };
    finish(context, probe, &operation, |header| ChangeRecord {
        header,
        start,
        end,
        other: 0,
        result,
        action: 0,
        reserved: 0,
    });
}

/// What the reverse map found: one folio in one VMA. The address is that of the folio's first page
/// that lies in the VMA (`vma_address`, mm/internal.h).
#[inline(always)]
pub fn enter_folio<C: Context>(context: C, probe: Probe) {
    let Some((_, actor, target_tgid)) = wanted_vma(context, probe) else {
        return;
    };
    let start = context.argument(position!(probe, address));
    let pages = match position!(probe, object) {
        object if object.is_known() => folio_pages(context.argument(object)),
        _ => None,
    };
    let words = [start, u64::from(pages.unwrap_or(0)), 0];
    remember(probe, actor, target_tgid, 0, words);
}

/// The number of base pages of a folio (`folio_nr_pages`, `include/linux/mm.h`); of one that is not
/// large, the member is another page's memory.
#[inline(always)]
fn folio_pages(folio: u64) -> Option<u32> {
    let flags: u64 = read(folio, offset!(page_flags))?;
    if flags >> page_head()? & 1 == 0 {
        return Some(1);
    }
    read(folio, offset!(folio_nr_pages))
}

/// `UFFDIO_COPY` and `UFFDIO_MOVE` (`include/uapi/linux/userfaultfd.h`): the destination stands
/// before the source. The others begin with a range.
const UFFDIO_COPY: u32 = 3;
const UFFDIO_ZEROPAGE: u32 = 4;
const UFFDIO_MOVE: u32 = 5;
const UFFDIO_WRITEPROTECT: u32 = 6;
const UFFDIO_CONTINUE: u32 = 7;
const UFFDIO_POISON: u32 = 8;

/// All requests to userfaultfd come through here; those that copy pages have had many functions,
/// and later ones are inlined.
#[inline(always)]
pub fn enter_uffd<C: Context>(context: C, probe: Probe) {
    let file = context.argument(position!(probe, object));
    // `_IOC_NR` (`include/uapi/asm-generic/ioctl.h`).
    let number = context.argument(position!(probe, flags)) as u32 & 0xff;
    let request = context.argument(position!(probe, other));
    let uffd: u64 = read(file, offset!(file_private_data)).unwrap_or(0);
    let mm = read(uffd, offset!(userfaultfd_ctx_mm)).unwrap_or(0);
    let actor = Actor::current();
    let Some(target_tgid) = wanted_target(probe, actor, Of::Mm(mm)) else {
        return;
    };
    let words: [u64; 3] = read_user(request).unwrap_or([0; 3]);
    let (start, other, len) = match number {
        UFFDIO_COPY => (words[0], 0, words[2]),
        UFFDIO_MOVE => (words[0], words[1], words[2]),
        UFFDIO_ZEROPAGE | UFFDIO_WRITEPROTECT | UFFDIO_CONTINUE | UFFDIO_POISON => {
            (words[0], 0, words[1])
        }
        _ => {
            count(probe, Fate::Ignored);
            return;
        }
    };
    remember(probe, actor, target_tgid, number, [start, start.wrapping_add(len), other]);
}

/// The end of every operation on a range.
#[inline(always)]
pub fn exit<C: Context>(context: C, probe: Probe) {
    let Some(operation) = end(probe) else {
        return;
    };
    let [start, end, other] = operation.words;
    let result = returned(context, probe).unwrap_or(0);
    finish(context, probe, &operation, |header| ChangeRecord {
        header,
        start,
        end,
        other,
        result,
        action: operation.small,
        reserved: 0,
    });
}
