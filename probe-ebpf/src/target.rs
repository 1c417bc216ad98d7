//! Who does something, to whose address space, and whether anybody asked for it.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task},
    macros::map,
    maps::HashMap,
};

use crate::{
    config::{filters, offset, only_target},
    kernel::read,
};

/// The thread groups that are wanted, when [`filters`] says that not all are.
#[map]
static TARGETS: HashMap<u32, u8> = HashMap::with_max_entries(4096, 0);

/// `PF_KTHREAD` (`include/linux/sched.h`).
const PF_KTHREAD: u32 = 0x0020_0000;

/// The thread that runs now.
#[derive(Clone, Copy)]
pub struct Actor {
    pub tgid: u32,
    pub tid: u32,
}

impl Actor {
    #[inline(always)]
    pub fn current() -> Self {
        let pid_tgid = bpf_get_current_pid_tgid();
        Self { tgid: (pid_tgid >> 32) as u32, tid: pid_tgid as u32 }
    }

    /// `struct task_struct *`.
    #[inline(always)]
    fn task() -> u64 {
        unsafe { bpf_get_current_task() }
    }

    #[inline(always)]
    pub fn is_kernel_thread(self) -> bool {
        read::<u32>(Self::task(), offset!(task_struct_flags))
            .is_some_and(|flags| flags & PF_KTHREAD != 0)
    }

    /// The address space that the thread runs in; 0 when it has none.
    #[inline(always)]
    pub fn mm(self) -> u64 {
        read(Self::task(), offset!(task_struct_mm)).unwrap_or(0)
    }

    /// Whether an address space is the one that the thread runs in.
    #[inline(always)]
    pub fn has(self, mm: u64) -> bool {
        read::<u64>(Self::task(), offset!(task_struct_mm)) == Some(mm)
    }

    /// The thread group that an address space belongs to; 0 when the kernel does not tell.
    ///
    /// For another one's address space that is `mm->owner` (`CONFIG_MEMCG`). A process that
    /// exits has given up its `mm` before the last of it is torn down: it is then its own.
    #[inline(always)]
    pub fn owner_of(self, mm: u64) -> u32 {
        let own = self.mm();
        if mm != 0 && mm == own {
            return self.tgid;
        }
        match read::<u64>(mm, offset!(mm_struct_owner)) {
            Some(owner) if owner != 0 => read(owner, offset!(task_struct_tgid)).unwrap_or(0),
            _ if own == 0 && mm != 0 && !self.is_kernel_thread() => self.tgid,
            _ => 0,
        }
    }
}

/// Lets a thread group be wanted; false when there is no room.
#[inline(always)]
pub fn want(tgid: u32) -> bool {
    TARGETS.insert(tgid, 1, 0).is_ok()
}

/// Whether operations on this thread group's address space are wanted.
#[inline(always)]
pub fn is_wanted(tgid: u32) -> bool {
    match only_target() {
        0 => !filters() || unsafe { TARGETS.get(tgid) }.is_some(),
        only => tgid == only,
    }
}
