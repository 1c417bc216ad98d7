//! Leaf maps that live: between two scans a map follows the kernel's own operations.
//!
//! Pure. Two things come in: events, and readings of what really stood there. [`Wanted`](wanted::Wanted) says
//! what has to be read next; [`Tracked`](map::Tracked) is the map. The same events and readings make the same map,
//! whether they come from a kernel or from a trace.

pub mod blame;
mod effort;
#[cfg(test)]
pub(crate) mod fixture;
mod infer;
pub mod log;
pub mod map;
#[cfg(test)]
mod map_tests;
pub mod pieces;
pub mod reach;
pub mod reading;
mod settle;
mod unseen;
pub mod wanted;
