//! The side that runs QEMU.

pub(crate) mod accel;
pub(crate) mod boot;
mod channels;
pub(crate) mod check;
pub(crate) mod command_line;
mod console;
mod copies;
mod deterministic;
pub(crate) mod error;
mod initramfs;
pub(crate) mod kernel_log;
mod modules;
mod process;
pub(crate) mod qemu;
