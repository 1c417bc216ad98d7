//! mremap.

use std::io;

use crate::workload::storm::{arena::Scene, sys, table::Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("grow", 8, &[], "mremap: make a mapping longer, where it is", grow),
    Operation::new("shrink", 8, &[], "mremap: make a mapping shorter", shrink),
    Operation::new(
        "move",
        15,
        &[],
        "mremap: move a part, at the same place of a table",
        same_place,
    ),
    Operation::new(
        "move-shifted",
        10,
        &[],
        "mremap: move a part to another place of a table",
        shifted,
    ),
    Operation::new(
        "move-dontunmap",
        10,
        &[],
        "mremap: move pages, leave the mapping (DONTUNMAP)",
        dontunmap,
    ),
];

fn too_short() -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

/// What is behind it has to go first.
fn grow(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = scene.part();
    let (first, second) = part.halves().ok_or_else(too_short)?;
    sys::unmap(&second)?;
    sys::resize(&first, part.len())
}

fn shrink(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = scene.part();
    let (first, _) = part.halves().ok_or_else(too_short)?;
    sys::resize(&part, first.len())
}

fn relocate(scene: &mut Scene<'_>, shifts: bool, flags: i32) -> io::Result<()> {
    let from = scene.part();
    let to = scene.counterpart(&from, shifts);
    sys::relocate(&from, &to, flags)
}

fn same_place(scene: &mut Scene<'_>) -> io::Result<()> {
    relocate(scene, false, 0)
}

fn shifted(scene: &mut Scene<'_>) -> io::Result<()> {
    relocate(scene, true, 0)
}

fn dontunmap(scene: &mut Scene<'_>) -> io::Result<()> {
    let shifts = scene.dice.bool();
    relocate(scene, shifts, libc::MREMAP_DONTUNMAP)
}
