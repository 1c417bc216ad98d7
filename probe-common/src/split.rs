//! Splits of PMD leaves and of folios.

use crate::{
    plain,
    record::{HEADER_SIZE, Header},
};

/// A PMD leaf that became a table of PTEs, or was cleared.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PmdSplitRecord {
    /// Common fields.
    pub header: Header,
    /// Address given to the kernel's function: inside the range of the PMD.
    pub address: u64,
    /// The PMD entry before, as read from the table.
    pub before: u64,
    /// The PMD entry after.
    pub after: u64,
    /// 1 when the split also makes the new entries migration entries.
    pub freeze: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// A large folio that the kernel tried to split.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FolioSplitRecord {
    /// Common fields.
    pub header: Header,
    /// The order asked for; 0 where the kernel only knows splits into base pages.
    pub new_order: u32,
    /// 0, or a negative errno (`-EBUSY`: somebody holds a reference; `-EAGAIN`; `-ENOMEM`).
    pub result: i32,
}

plain!(PmdSplitRecord: HEADER_SIZE + 32, FolioSplitRecord: HEADER_SIZE + 8);
