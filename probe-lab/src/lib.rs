//! Boots a kernel in QEMU and runs one command in it as root, as if it were run here.
//!
//! A [`Lab`] has what guests are made of, which [`fetch`] finds, and makes a [`Machine`] for a kernel ([`Chosen`]). That
//! describes what to boot and what to run; it is plain data. [`boot`] boots it and passes
//! standard input, output and error and the exit status through. The other side, the guest's init, is
//! [`guest::run`]. Both talk [`protocol`] over a virtio port, or a serial port where the kernel has no virtio.

pub mod exec;
pub mod fetch;
pub mod guest;
mod host;
mod lab;
mod machine;
pub mod protocol;

pub use host::accel::{Accelerator, kvm_works};
pub use host::boot::{Exit, Input, Streams, boot};
pub use host::check::check_static;
pub use host::command_line::{Channels, command_line};
pub use host::error::Error;
pub use host::kernel_log::KernelLog;
pub use host::qemu::Qemu;
pub use lab::{Chosen, Lab};
pub use machine::{AddedFile, CopiedFile, Machine, Terminal};
