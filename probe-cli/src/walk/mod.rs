//! Walkers and paths: which there are, what they come to, and how the paths compare.

pub mod callbacks;
pub mod compare;
#[cfg(test)]
pub(crate) mod fixture;
pub mod histogram;
pub mod registry;
pub mod report;
#[cfg(test)]
mod report_tests;
pub mod site;
pub mod text;
pub mod totals;
