//! Moving memory between memory nodes.

use std::io;

use walkprobe::workload::nodes;

use crate::memory::Area;

/// Moves an area's pages of `step` bytes to a node. Pages that cannot be moved now stay.
pub(crate) fn move_to(area: &Area, step: usize, node: i32) -> io::Result<()> {
    let pages: Result<Vec<usize>, _> = area.range().step_by(step).map(usize::try_from).collect();
    nodes::move_to(&pages.map_err(io::Error::other)?, node).map(drop)
}
