//! What the steps do, by the kernel's families.

pub(super) mod change;
pub(super) mod collapse;
pub(super) mod fault;
pub(super) mod split;
pub(super) mod walk;
