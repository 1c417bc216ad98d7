//! Page faults: `handle_mm_fault`, `hugetlb_fault`, the THP fault handlers, and the page-fault
//! tracepoints where those cannot be probed.
//!
//! ```c
//! vm_fault_t handle_mm_fault(struct vm_area_struct *vma, unsigned long address,
//!                            unsigned int flags, struct pt_regs *regs);
//! vm_fault_t hugetlb_fault(struct mm_struct *mm, struct vm_area_struct *vma,
//!                          unsigned long address, unsigned int flags);
//! vm_fault_t do_huge_pmd_anonymous_page(struct vm_fault *vmf);   // and its kin
//! TP_PROTO(unsigned long address, struct pt_regs *regs, unsigned long error_code)
//! ```

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_common::{
    fault::{FaultRecord, NO_ORDER},
    probe::Probe,
    record::TRACEPOINT,
};

use crate::{
    config::{offset, position, returned, wants_stacks},
    context::Context,
    counters::{Fate, count},
    kernel::read,
    operation::{Of, begin, end, reads_stack, wanted_target},
    output::{finish, send},
    target::Actor,
};

/// `handle_mm_fault`: the VMA, the address and the flags are arguments.
#[inline(always)]
pub fn enter<C: Context>(context: C, probe: Probe) {
    let vma = context.argument(position!(probe, vma));
    remember(context, probe, vma, NO_ORDER);
}

/// `hugetlb_fault`: as [`enter`], and the VMA's page size.
#[inline(always)]
pub fn enter_hugetlb<C: Context>(context: C, probe: Probe) {
    let vma = context.argument(position!(probe, vma));
    remember(context, probe, vma, hugetlb_order(vma).unwrap_or(NO_ORDER));
}

#[inline(always)]
fn remember<C: Context>(context: C, probe: Probe, vma: u64, order: u32) {
    let address = context.argument(position!(probe, address));
    let flags = context.argument(position!(probe, flags)) & u64::from(u32::MAX);
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    begin(probe, Of::Mm(mm), order, [address, flags, 0]);
}

/// THP fault handlers: everything stands in `struct vm_fault`.
#[inline(always)]
pub fn enter_vmf<C: Context>(context: C, probe: Probe) {
    let vmf = context.argument(position!(probe, vmf));
    let vma = read(vmf, offset!(vm_fault_vma)).unwrap_or(0);
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let address = read(vmf, offset!(vm_fault_address)).unwrap_or(0);
    let flags: u32 = read(vmf, offset!(vm_fault_flags)).unwrap_or(0);
    begin(probe, Of::Mm(mm), NO_ORDER, [address, u64::from(flags), 0]);
}

/// The end of every fault handler.
#[inline(always)]
pub fn exit<C: Context>(context: C, probe: Probe) {
    let Some(operation) = end(probe) else {
        return;
    };
    let result = returned(context, probe).unwrap_or(0) as u32;
    finish(context, probe, &operation, |header| FaultRecord {
        header,
        address: operation.words[0],
        flags: operation.words[1] as u32,
        result,
        order: operation.small,
        reserved: 0,
    });
}

/// `exceptions:page_fault_user` and `exceptions:page_fault_kernel`.
#[inline(always)]
pub fn tracepoint<C: Context>(context: C, probe: Probe) {
    let actor = Actor::current();
    let Some(target_tgid) = wanted_target(probe, actor, Of::Actor) else {
        return;
    };
    if wants_stacks() && reads_stack(actor) {
        count(probe, Fate::Ignored);
        return;
    }
    let address = context.argument(position!(probe, address));
    let flags = context.argument(position!(probe, flags)) as u32;
    let now = unsafe { bpf_ktime_get_ns() };
    send(context, probe, target_tgid, now, 0, TRACEPOINT, |header| FaultRecord {
        header,
        address,
        flags,
        result: 0,
        order: NO_ORDER,
        reserved: 0,
    });
}

/// `hstate_vma` (`include/linux/hugetlb.h`): file, inode, super block, `hugetlbfs_sb_info`, hstate.
#[inline(always)]
pub fn hugetlb_order(vma: u64) -> Option<u32> {
    let file: u64 = read(vma, offset!(vm_area_struct_vm_file))?;
    let inode: u64 = read(file, offset!(file_f_inode))?;
    let super_block: u64 = read(inode, offset!(inode_i_sb))?;
    let info: u64 = read(super_block, offset!(super_block_s_fs_info))?;
    let hstate: u64 = read(info, offset!(hugetlbfs_sb_info_hstate))?;
    read(hstate, offset!(hstate_order))
}
