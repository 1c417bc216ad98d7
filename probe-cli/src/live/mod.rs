//! Running processes: read once, and read again as events tell.

pub mod census;
pub mod collector;
pub mod reader;
pub mod source;
pub mod start;
mod turn;
pub mod walkers;
