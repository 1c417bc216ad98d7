//! Which page frame is the base page of zeroes.
#![expect(unsafe_code, reason = "maps a page, so that its first read faults in the page of zeroes")]

use std::{fs::File, ptr};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::entry::{FrameFlags, Window};
use crate::model::leaf::LeafSize;

/// Its frame, read from fresh memory of this process; `None` when it cannot be told.
pub(crate) fn frame(frames: &FrameFlags) -> Option<u64> {
    let pagemap = File::open("/proc/self/pagemap").ok()?;
    let len = usize::try_from(LeafSize::BASE.bytes()).ok()?;
    // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
    let page =
        unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE).ok()? };
    // SAFETY: the page is readable, and any byte is a valid u8.
    unsafe { page.cast::<u8>().read_volatile() };
    let start = page.addr() as u64;
    let entry = Window::new()
        .read(&pagemap, start, start + LeafSize::BASE.bytes())
        .ok()
        .and_then(|mut entries| entries.next());
    // SAFETY: nobody has a reference into the page.
    let unmapped = unsafe { munmap(page, len) };
    debug_assert!(unmapped.is_ok(), "munmap: {unmapped:?}");
    let entry = entry.filter(|entry| entry.can_be_zero())?;
    frames.is_base_zero(entry.frame()).then_some(entry.frame())
}
