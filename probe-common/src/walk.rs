//! Page-table walks.

use crate::{
    plain,
    record::{HEADER_SIZE, Header},
};

/// One VMA entered by the generic walker, or one call of a walker's callback.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct WalkRecord {
    /// Common fields.
    pub header: Header,
    /// First address given to the function.
    pub start: u64,
    /// One past the last address given to the function.
    pub end: u64,
    /// Kernel address of the callback that names the walker (`mm_walk_ops`); 0 when the probe is the callback.
    pub callback: u64,
    /// What the function returned: 0 to go on, else the walk ends.
    pub result: i32,
    /// [`GENERIC`] or [`HUGETLB`].
    pub path: u32,
}

/// The walker goes over the VMA with its pgd..pte callbacks.
pub const GENERIC: u32 = 0;
/// The walker goes over the VMA with its `hugetlb_entry` callback.
pub const HUGETLB: u32 = 1;

plain!(WalkRecord: HEADER_SIZE + 32);
