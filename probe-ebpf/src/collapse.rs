//! Collapses into larger folios, by khugepaged and by `madvise(MADV_COLLAPSE)`.
//!
//! ```c
//! enum scan_result collapse_huge_page(struct mm_struct *mm, unsigned long address, ..., unsigned int order);
//! enum scan_result collapse_file(struct mm_struct *mm, unsigned long addr, struct file *file, ...);
//! int try_collapse_pte_mapped_thp(struct mm_struct *mm, unsigned long addr, bool install_pmd);
//! int madvise_collapse(struct vm_area_struct *vma, ..., unsigned long start, unsigned long end, ...);
//! TP_PROTO(struct mm_struct *mm, int isolated, int status, ...)                  // mm_collapse_huge_page
//! TP_PROTO(struct mm_struct *mm, ..., unsigned long addr, ..., int nr, int result) // mm_khugepaged_collapse_file
//! ```

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_common::{
    collapse::{CollapseRecord, NO_ADDRESS, NO_RESULT},
    fault::NO_ORDER,
    probe::Probe,
    record::TRACEPOINT,
};

use crate::{
    config::{offset, position, returned},
    context::Context,
    kernel::read,
    operation::{Of, begin, end, wanted_target},
    output::{finish, send},
    target::Actor,
};

#[inline(always)]
pub fn enter<C: Context>(context: C, probe: Probe) {
    let mm = context.argument(position!(probe, mm));
    remember(context, probe, mm);
}

#[inline(always)]
pub fn enter_request<C: Context>(context: C, probe: Probe) {
    let vma = context.argument(position!(probe, vma));
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    remember(context, probe, mm);
}

#[inline(always)]
fn remember<C: Context>(context: C, probe: Probe, mm: u64) {
    let address = context.argument(position!(probe, address));
    let end = context.argument(position!(probe, end));
    let order = position!(probe, order);
    let order = if order.is_known() { context.argument(order) as u32 } else { NO_ORDER };
    begin(probe, Of::Mm(mm), order, [address, end, 0]);
}

#[inline(always)]
pub fn exit<C: Context>(context: C, probe: Probe) {
    let Some(operation) = end(probe) else {
        return;
    };
    let result = returned(context, probe).map_or(NO_RESULT, |value| value as i32);
    finish(context, probe, &operation, |header| CollapseRecord {
        header,
        address: operation.words[0],
        end: operation.words[1],
        result,
        order: operation.small,
    });
}

#[inline(always)]
pub fn tracepoint<C: Context>(context: C, probe: Probe) {
    let mm = context.argument(position!(probe, mm));
    let Some(target_tgid) = wanted_target(probe, Actor::current(), Of::Mm(mm)) else {
        return;
    };
    let address = position!(probe, address);
    let address = if address.is_known() { context.argument(address) } else { NO_ADDRESS };
    let result = context.argument(position!(probe, status)) as i32;
    let now = unsafe { bpf_ktime_get_ns() };
    send(context, probe, target_tgid, now, 0, TRACEPOINT, |header| CollapseRecord {
        header,
        address,
        end: 0,
        result,
        order: NO_ORDER,
    });
}
