//! walkprobe shows, live, which page-table leaf sizes map each range of a process, what changes
//! them, and what it costs the kernel to walk them.
//!
//! Data flows one way: kernel → records → [`event::Event`] → [`session::Session`] → views.
//! `ARCHITECTURE.md` has the picture.

pub mod escape;
pub mod event;
pub mod kernel;
pub mod plan;
pub mod sample;
pub mod session;
pub mod units;
