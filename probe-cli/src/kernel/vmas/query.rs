//! `ioctl(PROCMAP_QUERY)` on `/proc/PID/maps` (Linux 6.11): one VMA by address.
//!
//! It is not how VMAs are listed: one call per VMA takes about twice as long as the text. But it
//! knows two things that the text does not: the page size of a VMA, and a name without escapes.
#![expect(unsafe_code, reason = "an ioctl that rustix does not know")]

use std::{ffi::c_void, fs::File, io, os::fd::AsFd as _};

use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};

/// `struct procmap_query` (include/uapi/linux/fs.h).
#[repr(C)]
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "the kernel's names")]
struct Query {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

const _: () = assert!(size_of::<Query>() == 104);

/// PATH_MAX: the kernel takes no more.
const LONGEST_NAME: u32 = 4096;

/// What the text of `maps` does not tell about a VMA.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Details {
    /// The VMA's first address.
    pub(crate) start: u64,
    /// `vma_kernel_pagesize`: the hugetlb page size, or the base page size.
    pub(crate) page_size: u64,
    /// The name, byte for byte.
    pub(crate) name: Vec<u8>,
}

/// The VMA that covers `address`; `None` when there is none.
///
/// # Errors
/// What the kernel said: `ENOTTY` where it does not know this ioctl, `ESRCH` when the address
/// space is gone.
pub(crate) fn at(maps: &File, address: u64) -> io::Result<Option<Details>> {
    let mut name = [0_u8; LONGEST_NAME as usize];
    let mut query = Query {
        size: size_of::<Query>() as u64,
        query_addr: address,
        vma_name_size: LONGEST_NAME,
        vma_name_addr: name.as_mut_ptr().expose_provenance() as u64,
        ..Query::default()
    };
    // SAFETY: `Call` describes PROCMAP_QUERY, and `name` has the size that `query` says and
    // outlives the call.
    match unsafe { ioctl::ioctl(maps.as_fd(), Call(&mut query)) } {
        Ok(()) => {}
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // The size counts the NUL at the end; without a name it is 0.
    let length = query.vma_name_size.saturating_sub(1).min(LONGEST_NAME) as usize;
    Ok(Some(Details {
        start: query.vma_start,
        page_size: query.vma_page_size,
        name: name[..length].to_vec(),
    }))
}

struct Call<'a>(&'a mut Query);

// SAFETY: the opcode carries the size of `Query`, `as_ptr` points to one for as long as the call
// lasts, and the kernel writes nothing else but the name.
unsafe impl Ioctl for Call<'_> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<Query>(b'f', 17)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<Self::Output> {
        Ok(())
    }
}
