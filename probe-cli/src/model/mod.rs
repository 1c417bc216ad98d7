//! What maps what: leaves, runs of leaves, and the translation set of one address space.
//!
//! Pure: no I/O, no aya, no ratatui, no clock.

pub mod leaf;
pub mod vma;
