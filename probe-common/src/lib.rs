//! Records and configuration that walkprobe's eBPF programs and its user side share.
//!
//! Every type here crosses the kernel boundary as bytes: `repr(C)`, no `bool`, no implicit
//! padding, the size asserted at compile time. Numbers that identify something (probes, record
//! layouts) are never reused.
#![no_std]

pub mod change;
pub mod collapse;
pub mod config;
pub mod counters;
pub mod entry;
pub mod fault;
pub mod histogram;
pub mod probe;
pub mod record;
pub mod scan;
pub mod site;
pub mod split;
pub mod stacks;
pub mod walk;

/// Declares that types may cross the kernel boundary: checks the size, and on the user side
/// makes them `aya::Pod`.
macro_rules! plain {
    ($($ty:ty: $size:expr),+ $(,)?) => {$(
        const _: () = assert!(core::mem::size_of::<$ty>() == $size);
        #[cfg(feature = "user")]
        #[expect(unsafe_code, reason = "aya asks for the promise that every bit pattern is valid")]
        // SAFETY: `repr(C)` or `repr(transparent)`, `Copy`, only integers and arrays of integers, and no padding: the
        // size above is the sum of the fields.
        unsafe impl aya::Pod for $ty {}
    )+};
}
pub(crate) use plain;
