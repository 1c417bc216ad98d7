//! Boots a kernel in QEMU and runs a command in it.

mod qemu;

pub use qemu::Qemu;
