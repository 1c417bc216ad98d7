//! Collapses of base pages into a larger folio.

use crate::{
    plain,
    record::{HEADER_SIZE, Header},
};

/// One attempt to collapse a range.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CollapseRecord {
    /// Common fields.
    pub header: Header,
    /// First address of the range; [`NO_ADDRESS`] when a tracepoint does not tell.
    pub address: u64,
    /// One past the last address of a `madvise(MADV_COLLAPSE)`; 0 for the collapse of one folio.
    pub end: u64,
    /// `enum scan_result` for one folio, 0 or a negative errno for `madvise(MADV_COLLAPSE)`,
    /// or [`NO_RESULT`].
    pub result: i32,
    /// Order of the new folio; [`NO_ORDER`](crate::fault::NO_ORDER) where the kernel only makes PMD-sized ones.
    pub order: u32,
}

/// The function of this kernel does not tell how it ended.
pub const NO_RESULT: i32 = i32::MIN;
/// The address is not known.
pub const NO_ADDRESS: u64 = u64::MAX;

plain!(CollapseRecord: HEADER_SIZE + 24);
