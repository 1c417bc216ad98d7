//! Memory nodes: where pages are, and moving them.

use std::io;

use crate::memory::Area;

/// `MPOL_MF_MOVE` (include/uapi/linux/mempolicy.h).
const MOVE: i32 = 1 << 1;

/// Moves an area's pages of `step` bytes to a node. Pages that cannot be moved now stay.
#[expect(unsafe_code, reason = "there is no safe interface")]
pub(crate) fn move_to(area: &Area, step: usize, node: i32) -> io::Result<()> {
    let pages: Vec<u64> = area.range().step_by(step).collect();
    let nodes = vec![node; pages.len()];
    let mut status = vec![0_i32; pages.len()];
    // SAFETY: an address has 64 bits; the three arrays have as many elements as is said; the memory keeps its contents.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            pages.len(),
            pages.as_ptr(),
            nodes.as_ptr(),
            status.as_mut_ptr(),
            MOVE,
        )
    };
    // A positive number counts the pages that stayed.
    if moved < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
