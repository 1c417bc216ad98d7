//! The side that runs QEMU.

pub(crate) mod accel;
pub(crate) mod boot;
pub(crate) mod command_line;
mod console;
pub(crate) mod error;
mod initramfs;
pub(crate) mod kernel_log;
mod modules;
mod process;
pub(crate) mod qemu;
