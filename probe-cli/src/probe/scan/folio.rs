//! Finds out where this kernel keeps page structs, for the orders of folios.

use std::{ffi::c_void, fs::File, os::fd::AsRawFd as _, ptr};

use probe_common::{entry::PTE_SHIFT, scan::Op};
use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap},
};

use super::{AddressSpace, ScanError, Scanner, search};
use crate::kernel::facts::Facts;

/// Pages of ours that must all lead to the same place.
const SAMPLES: usize = 8;

/// How many pages may mislead for each of them.
const ATTEMPTS: usize = 16;

/// The array of page structs begins at a multiple of 1 GiB (`kernel_randomize_memory`, arch/x86/mm/kaslr.c).
const ALIGNMENT: u64 = 1 << 30;

/// Fills in what finding folios takes; the inner error is why this kernel does not tell.
pub(super) fn orient(
    scanner: &mut Scanner,
    facts: &Facts,
    own: &AddressSpace,
) -> Result<Result<(), String>, ScanError> {
    if let Err(why) = fill(scanner, facts) {
        return Ok(Err(why));
    }
    let mut found: Option<u64> = None;
    for _ in 0..SAMPLES {
        match sample(scanner, own, found)? {
            Ok(base) => found = Some(base),
            Err(why) => return Ok(Err(why)),
        }
    }
    scanner.state.update(|state| state.vmemmap = found.unwrap_or(0));
    Ok(Ok(()))
}

/// What BTF tells.
fn fill(scanner: &mut Scanner, facts: &Facts) -> Result<(), String> {
    let offset = |name: &str| search::offset(facts, name);
    let either = |one: &str, other: &str| offset(one).or_else(|_| offset(other));
    let page_size = *facts.sizes.get("page").ok_or("no size of a page struct in its BTF")?;
    let page_flags = offset("page.flags")?;
    if either("page.compound_head", "page.compound_info")? != page_flags + 8 {
        return Err("its page structs have another form".to_owned());
    }
    let page_head = facts
        .enumerators
        .get("pageflags")
        .and_then(|flags| u32::try_from(*flags.get("PG_head")?).ok())
        .ok_or("no PG_head in its BTF")?;
    let folio_pages = either("folio._nr_pages", "folio._folio_nr_pages")?;
    let file_mapping = offset("file.f_mapping")?;
    let mapping_pages = offset("address_space.i_pages")? + offset("xarray.xa_head")?;
    scanner.state.update(|state| {
        state.page_size = page_size;
        state.page_flags = page_flags;
        state.page_head = page_head;
        state.folio_pages = folio_pages;
        state.file_mapping = file_mapping;
        state.mapping_pages = mapping_pages;
    });
    Ok(())
}

/// Where the array of page structs begins: where it was `found` already, if it was. The kernel may move a page,
/// swap it out, or take it away to see who misses it, at any time, and on 6.18 the page cache of such a file was a node
/// (bit 1 of `xa_head`) twice in a row, for a reason that is not known: so no page is the last word.
fn sample(
    scanner: &mut Scanner,
    own: &AddressSpace,
    found: Option<u64>,
) -> Result<Result<u64, String>, ScanError> {
    let mut why = String::new();
    for attempt in 0..ATTEMPTS {
        why = match vmemmap(scanner, own)? {
            Ok(base) if base % ALIGNMENT == 0 && found.is_none_or(|found| found == base) => {
                return Ok(Ok(base));
            }
            Ok(_) => "its page structs are not one array (CONFIG_SPARSEMEM_VMEMMAP)".to_owned(),
            Err(why) => why,
        };
        log::debug!("folios, attempt {attempt}: {why}");
    }
    Ok(Err(why))
}

/// Where the array of page structs begins, by a page whose frame and whose struct are both known: the
/// only page of a file in memory.
fn vmemmap(scanner: &mut Scanner, own: &AddressSpace) -> Result<Result<u64, String>, ScanError> {
    let file = OnePage::new()
        .map_err(|error| ScanError::Unknown(format!("no file in memory: {error}")))?;
    let Some(leaf) = search::own_leaf(scanner, own, file.memory as u64)? else {
        return Ok(Err("a page of our own was not found".to_owned()));
    };
    let number = u64::try_from(file.file.as_raw_fd()).unwrap_or(u64::MAX);
    match scanner.request(Op::Cached, number) {
        Ok(()) => {}
        Err(ScanError::Gone) => {
            return Ok(Err("the page cache of a file was not found".to_owned()));
        }
        Err(error) => return Err(error),
    }
    let page = scanner.state.get().words[0];
    let size = u64::from(scanner.state.get().page_size);
    // An address in the kernel's half; of another kind (a node, a value) the lowest bits would tell.
    let is_pointer = page >> 63 == 1 && page.trailing_zeros() >= 2;
    let base = leaf.frame().checked_mul(size).and_then(|bytes| page.checked_sub(bytes));
    Ok(base.filter(|_| is_pointer).ok_or_else(|| "the page cache has another form".to_owned()))
}

/// A file in memory of one page, which is mapped.
struct OnePage {
    file: File,
    memory: *mut c_void,
}

impl OnePage {
    const LENGTH: usize = 1 << PTE_SHIFT;

    fn new() -> std::io::Result<Self> {
        let file = memfd_create("walkprobe", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, Self::LENGTH as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        #[expect(unsafe_code, reason = "memory whose page struct is known")]
        // SAFETY: a new mapping at an address that the kernel chooses, of a file that is as long.
        let memory = unsafe {
            let memory =
                mmap(ptr::null_mut(), Self::LENGTH, protection, MapFlags::SHARED, &file, 0)?;
            // A large folio would not stand alone in the page cache. Fails where there are none.
            let _ = madvise(memory, Self::LENGTH, Advice::LinuxNoHugepage);
            memory.cast::<u8>().write_volatile(1);
            memory
        };
        Ok(Self { file: file.into(), memory })
    }
}

impl Drop for OnePage {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "gives the memory back")]
        // SAFETY: our own mapping, which nothing refers to any more.
        let _ = unsafe { munmap(self.memory, Self::LENGTH) };
    }
}
