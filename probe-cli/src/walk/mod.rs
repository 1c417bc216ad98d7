//! Walkers and paths.

pub mod callbacks;
