//! The list of VMAs, and the beginning and end of an address space.
//!
//! ```c
//! int begin_new_exec(struct linux_binprm *bprm);
//! void exit_mmap(struct mm_struct *mm);
//! unsigned long __mmap_region(struct file *file, unsigned long addr, unsigned long len, ...);
//! int do_vmi_align_munmap(..., struct mm_struct *mm, unsigned long start, unsigned long end, ...);
//! int do_brk_flags(..., unsigned long addr, unsigned long len, ...);
//! int expand_downwards(struct vm_area_struct *vma, unsigned long address);
//! int vma_link(struct mm_struct *mm, struct vm_area_struct *vma);
//! void vma_complete(struct vma_prepare *vp, struct vma_iterator *vmi, struct mm_struct *mm);
//! int __vma_adjust(struct vm_area_struct *vma, unsigned long start, unsigned long end, ..., struct vm_area_struct *insert, ...);
//! ```
//!
//! All but `begin_new_exec` end in [`change::exit`](crate::change::exit), as this one does.

use probe_common::{
    change::{MERGE, RESIZE, SPLIT},
    probe::Probe,
};

use crate::{
    config::{offset, position},
    context::Context,
    counters::{Fate, count},
    kernel::read,
    operation::{Of, begin, is_within, remember, wanted_target},
    target::Actor,
};

#[inline(always)]
pub fn enter_exec<C: Context>(_context: C, probe: Probe) {
    begin(probe, Of::Actor, 0, [0; 3]);
}

/// An exec tears the old address space down when it has no owner any more (`exec_mmap`, fs/exec.c,
/// calls `mm_update_next_owner` before `mmput`): it was the actor's.
#[inline(always)]
pub fn enter_exit<C: Context>(context: C, probe: Probe) {
    let mm = context.argument(position!(probe, mm));
    let of = if is_within(Probe::Exec, Actor::current()) { Of::Actor } else { Of::Mm(mm) };
    begin(probe, of, 0, [0; 3]);
}

/// mmap and brk act on the actor's own address space.
#[inline(always)]
pub fn enter_map<C: Context>(context: C, probe: Probe) {
    let start = context.argument(position!(probe, address));
    let len = context.argument(position!(probe, len));
    begin(probe, Of::Actor, 0, [start, start.wrapping_add(len), 0]);
}

/// An unmap that makes room for a map is a part of it. From 6.12 on the kernel does that in
/// another function.
#[inline(always)]
pub fn enter_unmap<C: Context>(context: C, probe: Probe) {
    let mm = context.argument(position!(probe, mm));
    let actor = Actor::current();
    let Some(target_tgid) = wanted_target(probe, actor, Of::Mm(mm)) else {
        return;
    };
    if is_within(Probe::VmaMap, actor) {
        count(probe, Fate::Ignored);
        return;
    }
    let start = context.argument(position!(probe, address));
    let end = match position!(probe, end) {
        end if end.is_known() => context.argument(end),
        _ => start.wrapping_add(context.argument(position!(probe, len))),
    };
    remember(probe, actor, target_tgid, 0, [start, end, 0]);
}

/// The range that is added: user space rounds the address down to a page.
#[inline(always)]
pub fn enter_grow<C: Context>(context: C, probe: Probe) {
    let vma = context.argument(position!(probe, vma));
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let address = context.argument(position!(probe, address));
    let end = read(vma, offset!(vm_area_struct_vm_start)).unwrap_or(0);
    begin(probe, Of::Mm(mm), 0, [address, end, 0]);
}

/// 5.10 also links what mmap and brk have made. An exec links the stack into an address space that
/// is nobody's yet (`__bprm_mm_init`, fs/exec.c).
#[inline(always)]
pub fn enter_link<C: Context>(context: C, probe: Probe) {
    let mm = context.argument(position!(probe, mm));
    let vma = context.argument(position!(probe, vma));
    let actor = Actor::current();
    let Some(target_tgid) = wanted_target(probe, actor, Of::Mm(mm)) else {
        return;
    };
    let is_part = is_within(Probe::VmaMap, actor) || is_within(Probe::VmaBrk, actor);
    if is_part || !actor.has(mm) {
        count(probe, Fate::Ignored);
        return;
    }
    let start = read(vma, offset!(vm_area_struct_vm_start)).unwrap_or(0);
    let end = read(vma, offset!(vm_area_struct_vm_end)).unwrap_or(0);
    remember(probe, actor, target_tgid, 0, [start, end, 0]);
}

/// The range is that of all VMAs that change, before or after.
#[inline(always)]
pub fn enter_adjust<C: Context>(context: C, probe: Probe) {
    let object = position!(probe, object);
    if object.is_known() {
        let mm = context.argument(position!(probe, mm));
        enter_complete(context.argument(object), mm, probe);
    } else {
        enter_old_adjust(context, probe);
    }
}

/// `vma_complete` (mm/vma.c): the VMAs have their new ranges already. One that is removed lies in
/// the range of the one that takes its place.
#[inline(always)]
fn enter_complete(prepare: u64, mm: u64, probe: Probe) {
    let actor = Actor::current();
    let Some(target_tgid) = wanted_target(probe, actor, Of::Mm(mm)) else {
        return;
    };
    let vma: u64 = read(prepare, offset!(vma_prepare_vma)).unwrap_or(0);
    let next: u64 = read(prepare, offset!(vma_prepare_adj_next)).unwrap_or(0);
    let insert: u64 = read(prepare, offset!(vma_prepare_insert)).unwrap_or(0);
    let remove: u64 = read(prepare, offset!(vma_prepare_remove)).unwrap_or(0);
    let (start, end) = with(with(with((u64::MAX, 0), vma), next), insert);
    let action = action(insert, remove != 0);
    remember(probe, actor, target_tgid, action, [start, end, 0]);
}

/// `__vma_adjust` (mm/mmap.c, until 6.1): the VMA has its old range, the arguments are the new one.
/// Whether that swallows the next one is decided inside: it is told as a resize.
#[inline(always)]
fn enter_old_adjust<C: Context>(context: C, probe: Probe) {
    let vma = context.argument(position!(probe, vma));
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let actor = Actor::current();
    let Some(target_tgid) = wanted_target(probe, actor, Of::Mm(mm)) else {
        return;
    };
    let insert = context.argument(position!(probe, other));
    let new =
        (context.argument(position!(probe, address)), context.argument(position!(probe, end)));
    let (start, end) = with(with(new, vma), insert);
    let action = action(insert, false);
    remember(probe, actor, target_tgid, action, [start, end, 0]);
}

/// A range that has the VMA's in it, too, if there is one.
#[inline(always)]
fn with((start, end): (u64, u64), vma: u64) -> (u64, u64) {
    let vma_start = read(vma, offset!(vm_area_struct_vm_start)).unwrap_or(u64::MAX);
    let vma_end = read(vma, offset!(vm_area_struct_vm_end)).unwrap_or(0);
    (if vma_start < start { vma_start } else { start }, if vma_end > end { vma_end } else { end })
}

#[inline(always)]
fn action(insert: u64, swallows: bool) -> u32 {
    if insert != 0 {
        SPLIT
    } else if swallows {
        MERGE
    } else {
        RESIZE
    }
}
