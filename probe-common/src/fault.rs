//! Page faults: generic, hugetlb and THP.

use crate::{
    plain,
    record::{HEADER_SIZE, Header},
};

/// One call of a fault handler.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FaultRecord {
    /// Common fields.
    pub header: Header,
    /// The faulting virtual address, as the kernel's function got it.
    pub address: u64,
    /// `FAULT_FLAG_*` (`include/linux/mm_types.h`), or the x86 error code for a tracepoint.
    pub flags: u32,
    /// `VM_FAULT_*` (`enum vm_fault_reason`); 0 for a tracepoint.
    pub result: u32,
    /// Order of the hugetlb page size, or [`NO_ORDER`].
    pub order: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// The order is not known, or there is none.
pub const NO_ORDER: u32 = u32::MAX;

plain!(FaultRecord: HEADER_SIZE + 24);
