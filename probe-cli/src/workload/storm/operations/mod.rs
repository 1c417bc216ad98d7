//! What a storm does, by what it concerns.

mod advise;
mod file;
mod map;
mod place;
mod process;
mod protect;
mod remap;
mod touch;
mod uffd;

use super::table::Operation;

/// All of them.
pub(super) const GROUPS: &[&[Operation]] = &[
    map::OPERATIONS,
    remap::OPERATIONS,
    protect::OPERATIONS,
    advise::OPERATIONS,
    touch::OPERATIONS,
    process::OPERATIONS,
    file::OPERATIONS,
    uffd::OPERATIONS,
    place::OPERATIONS,
];
