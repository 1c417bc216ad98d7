//! Memory nodes: on which one pages are, and moving them to another one.
#![expect(unsafe_code, reason = "there is no safe interface to move_pages(2)")]

use std::{ffi::c_void, fs, io, ptr};

/// On which node each of these pages of this process is; a negative number is an errno.
///
/// # Errors
/// Those of `move_pages(2)`, as on a kernel without NUMA.
pub fn of_pages(pages: &[usize]) -> io::Result<Vec<i32>> {
    move_pages(pages, None)
}

/// Moves these pages of this process, with all that they are a part of, to a node. Gives for each on which node it is
/// now; a negative number is an errno. What cannot be moved now stays.
///
/// # Errors
/// Those of `move_pages(2)`.
pub fn move_to(pages: &[usize], node: i32) -> io::Result<Vec<i32>> {
    move_pages(pages, Some(node))
}

/// `include/uapi/linux/mempolicy.h`; libc does not have it.
const MPOL_MF_MOVE: libc::c_int = 1 << 1;

fn move_pages(pages: &[usize], node: Option<i32>) -> io::Result<Vec<i32>> {
    let pages: Vec<*mut c_void> =
        pages.iter().map(|&address| ptr::with_exposed_provenance_mut(address)).collect();
    let nodes = node.map(|node| vec![node; pages.len()]);
    let nodes = nodes.as_ref().map_or(ptr::null(), Vec::as_ptr);
    // Where a move ends early, the kernel writes no number of those that were not reached.
    let mut status = vec![-libc::EAGAIN; pages.len()];
    // SAFETY: the three arrays have as many elements as is said, or are not there; memory keeps its contents.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            pages.len(),
            pages.as_ptr(),
            nodes,
            status.as_mut_ptr(),
            MPOL_MF_MOVE,
        )
    };
    // A positive number counts the pages that stayed.
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}

/// A node with memory, and another one than this.
pub(super) fn another(node: i32) -> Option<i32> {
    let list = fs::read_to_string("/sys/devices/system/node/has_memory").ok()?;
    in_list(&list).into_iter().find(|&other| other != node)
}

/// The first and the last of each range of a list as the kernel writes it: `0-1,4`.
fn in_list(list: &str) -> Vec<i32> {
    let ends = list.trim().split([',', '-']);
    ends.filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::in_list;

    #[test]
    fn lists_of_nodes_are_read() {
        assert_eq!(in_list("0\n"), [0]);
        assert_eq!(in_list("0-1,4\n"), [0, 1, 4]);
        assert!(in_list("\n").is_empty());
    }
}
