//! Suites of walkers driven over known address spaces, measured sample by sample: what `walkprobe check` compares.

pub mod measure;
pub mod results;
mod subject;
pub mod suite;
