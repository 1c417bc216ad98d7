//! walkprobe shows, live, which page-table leaf sizes map each range of a process, what changes
//! them, and what it costs the kernel to walk them.
//!
//! Data flows one way: kernel → records → [`event::Event`] → [`session::Session`] → views.
//! `ARCHITECTURE.md` has the picture.

pub mod bench;
pub mod census;
pub mod change;
pub mod check;
pub mod cli;
pub mod clock;
pub mod cmd;
pub mod escape;
pub mod event;
pub mod exit;
pub mod export;
pub mod input;
pub mod kernel;
pub mod live;
pub mod maps;
pub mod model;
pub mod output;
pub mod pagemap;
pub mod plan;
pub mod probe;
pub mod replay;
pub mod sample;
pub mod session;
pub mod stacks;
pub mod stats;
pub mod stop;
mod symbolize;
mod text;
pub mod trace;
pub mod track;
pub mod tui;
pub mod units;
pub mod walk;
pub mod workload;
