//! The subcommands, one file each.

pub mod doctor;
pub mod exec;
mod start;
pub mod trace;
pub mod workload;
