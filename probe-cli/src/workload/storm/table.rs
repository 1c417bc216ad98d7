//! The operations as data: adding one is adding a row to its group.

use std::{io, sync::LazyLock};

use super::{arena::Scene, need::Need, operations};

/// What a thread does in one go.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What people call it.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// How often it comes up, beside the others.
    pub weight: u32,
    pub(super) needs: &'static [Need],
    pub(super) run: fn(&mut Scene<'_>) -> io::Result<()>,
}

impl Operation {
    /// A row of the table.
    pub(super) const fn new(
        name: &'static str,
        weight: u32,
        needs: &'static [Need],
        about: &'static str,
        run: fn(&mut Scene<'_>) -> io::Result<()>,
    ) -> Self {
        Self { name, about, weight, needs, run }
    }
}

/// Every operation, group by group.
#[must_use]
pub fn table() -> &'static [Operation] {
    static TABLE: LazyLock<Vec<Operation>> = LazyLock::new(|| operations::GROUPS.concat());
    &TABLE
}
