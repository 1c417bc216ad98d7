//! What guests are made of, found or fetched: QEMU, busybox and kernels, from Debian's packages, in one cache folder.
//!
//! Nothing here prints: a [`Progress`] is told what is going on.

pub mod apt;
mod busybox;
mod cache;
mod error;
pub mod kernels;
mod mirror;
mod progress;
mod qemu;
pub mod series;

pub use busybox::ensure as busybox;
pub use cache::{Cache, CacheLock};
pub use error::FetchError;
pub use progress::Progress;
pub use qemu::ensure as qemu;
