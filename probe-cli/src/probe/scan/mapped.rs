//! Maps of the kernel side in this process's memory.

use std::{io, marker::PhantomData, os::fd::BorrowedFd, ptr::NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The first value of a mappable array, shared with the kernel side.
///
/// The kernel side only writes during a request of this process, which waits for it, so that what
/// is read here does not change meanwhile.
pub(super) struct Mapped<T> {
    memory: NonNull<T>,
    length: usize,
    value: PhantomData<T>,
}

impl<T> Mapped<T> {
    /// Maps the array behind a file descriptor; its values must take up a `T` in all.
    pub(super) fn new(map: BorrowedFd<'_>) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let length = size_of::<T>().next_multiple_of(page);
        #[expect(unsafe_code, reason = "maps an eBPF array")]
        // SAFETY: a new mapping at an address that the kernel chooses.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map,
                0,
            )
        }?;
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, length, value: PhantomData })
    }

    /// The value. As requests want the scanner that this belongs to for themselves, none is under way.
    pub(super) fn get(&self) -> &T {
        #[expect(unsafe_code, reason = "reads an eBPF array")]
        // SAFETY: the mapping is page-aligned, at least as long as T, and lives as long as self;
        // T is plain data (the constructors' callers use records of probe-common), and the kernel
        // side writes only while this process waits for it.
        unsafe {
            self.memory.as_ref()
        }
    }

    /// Changes the value.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut T)) {
        #[expect(unsafe_code, reason = "writes an eBPF array")]
        // SAFETY: as for `get`; nobody else has a reference, since self is borrowed mutably.
        change(unsafe { self.memory.as_mut() });
    }
}

#[expect(unsafe_code, reason = "the memory may be used by any one thread")]
// SAFETY: the mapping belongs to the process, and only through this value can it be reached.
unsafe impl<T: Send> Send for Mapped<T> {}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "unmaps an eBPF array")]
        // SAFETY: the mapping of `new`, which nothing refers to any more.
        let unmapped = unsafe { munmap(self.memory.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok());
    }
}
