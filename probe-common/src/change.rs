//! Operations that change leaves or the list of VMAs, beside faults, splits and collapses.

use crate::{
    plain,
    record::{HEADER_SIZE, Header},
};

/// One operation on a range of an address space.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ChangeRecord {
    /// Common fields.
    pub header: Header,
    /// First address of the range; 0 for a whole address space.
    pub start: u64,
    /// One past the last address; 0 when the kernel does not tell, and for a whole address space.
    pub end: u64,
    /// First address of the other range of an operation that has two, of the same length; else 0.
    pub other: u64,
    /// What the function returned, as it stands in the register: its type decides which bits
    /// count. 0 when it returns nothing.
    pub result: u64,
    /// What happened, where a probe sees several things: [`SPLIT`], [`MERGE`] or [`RESIZE`], or
    /// the number of a `UFFDIO_*` request.
    pub action: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
}

/// A VMA became two.
pub const SPLIT: u32 = 1;
/// A VMA took the place of another one.
pub const MERGE: u32 = 2;
/// A VMA begins or ends somewhere else.
pub const RESIZE: u32 = 3;

plain!(ChangeRecord: HEADER_SIZE + 40);
