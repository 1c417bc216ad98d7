//! What maps what: leaves, runs of leaves, and the translation set of one address space.
//!
//! Pure: no I/O, no aya, no ratatui, no clock.
//!
//! A [`Run`](leaf::Run) is some like leaves side by side, a [`LeafMap`](map::LeafMap) all runs of a
//! VMA, a [`TranslationSet`](set::TranslationSet) all leaf maps of an address space, and
//! [`LeafWalk`](walk::LeafWalk) the way over them that everything else is built on.

pub mod diff;
pub mod leaf;
pub mod map;
pub mod set;
pub mod sizes;
pub mod statistics;
pub mod vma;
pub mod walk;

#[cfg(test)]
pub(crate) mod fixture;
