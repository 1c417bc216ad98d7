//! Finds out where this kernel keeps what the scan needs, and checks it on memory of this process.

mod marker;

use std::{ffi::c_void, fs::File, ptr};

use probe_common::scan::{NO_OFFSET, kind};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::{ScanError, Scanner};
use crate::kernel::facts::Facts;

const PAGE: usize = 4096;
const PMD: usize = 2 << 20;

/// Physical addresses on x86-64 have 52 bits at most (`__PHYSICAL_MASK_SHIFT`).
const PHYSICAL_MASK: u64 = 0x000f_ffff_ffff_f000;

/// The direct map begins at a multiple of 1 GiB (`kernel_randomize_memory`, arch/x86/mm/kaslr.c).
const STEP: u64 = 1 << 30;

/// More physical memory than this is not looked for: 64 TiB.
const MOST_STEPS: u64 = 1 << 16;

/// With four levels the kernel's half of the address space begins here; with five, below.
const FOUR_LEVELS: u64 = 0xffff_8000_0000_0000;

/// Types of swap entries (`SWP_TYPE_BITS`, arch/x86/include/asm/pgtable_64.h).
const SWAP_TYPES: usize = 32;

/// The last of them.
const LAST_SWAP_TYPE: u8 = 31;

/// Fills in everything that the scan must know.
pub(super) fn orient(scanner: &mut Scanner, facts: &Facts) -> Result<(), ScanError> {
    let offset = |name: &str| {
        facts.offsets.get(name).copied().filter(|&offset| offset != NO_OFFSET).ok_or_else(|| {
            let why = facts.no_btf.as_deref().unwrap_or("not in its BTF");
            ScanError::Unknown(format!("no offset of {name}: {why}"))
        })
    };
    let task_struct_files = offset("task_struct.files")?;
    let files_struct_fdt = offset("files_struct.fdt")?;
    let fdtable_fd = offset("fdtable.fd")?;
    let file_private_data = offset("file.private_data")?;
    let mm_struct_pgd = offset("mm_struct.pgd")?;
    let marker = marker::swap_type().unwrap_or(LAST_SWAP_TYPE);
    scanner.state.update(|state| {
        state.task_struct_files = task_struct_files;
        state.files_struct_fdt = files_struct_fdt;
        state.fdtable_fd = fdtable_fd;
        state.file_private_data = file_private_data;
        state.mm_struct_pgd = mm_struct_pgd;
        state.physical_mask = PHYSICAL_MASK;
        state.swap_kinds = swap_kinds(facts, marker);
        // PTE_MARKER_UFFD_WP, _POISONED, _GUARD (include/linux/swapops.h): bits of the value.
        state.marker_kinds = marker_kinds();
    });
    let pagemap = File::open("/proc/self/pagemap")
        .map_err(|error| ScanError::Unknown(format!("/proc/self/pagemap: {error}")))?;
    let own = scanner.resolve(pagemap)?;
    let levels = if own.pgd < FOUR_LEVELS { 5 } else { 4 };

    let sample = Sample::new(PAGE)?;
    sample.fill();
    let direct_map = find_direct_map(scanner, own.pgd, levels, &sample)?;
    scanner.state.update(|state| {
        state.direct_map = direct_map;
        state.levels = levels;
    });

    let zero = Sample::new(PAGE)?;
    zero.look(0);
    let zero_frame = leaf(scanner, direct_map, own.pgd, levels, zero.address())?;
    let huge_zero_frame = huge_zero_frame(scanner, direct_map, own.pgd, levels)?;
    scanner.state.update(|state| {
        state.zero_frame = zero_frame.map_or(0, |leaf| leaf.frame());
        state.huge_zero_frame = huge_zero_frame.unwrap_or(0);
    });
    Ok(())
}

/// What stands at the end of a walk.
struct Leaf {
    entry: u64,
    shift: u32,
}

impl Leaf {
    fn frame(&self) -> u64 {
        (self.entry & PHYSICAL_MASK) >> 12
    }
}

/// Tries each place where the direct map can begin: at a multiple of 1 GiB at or below a page that
/// lies in it, such as a top-level table. The right one leads to the pattern in our own page.
fn find_direct_map(
    scanner: &mut Scanner,
    pgd: u64,
    levels: u32,
    sample: &Sample,
) -> Result<u64, ScanError> {
    let highest = pgd & !(STEP - 1);
    for number in 0..MOST_STEPS {
        let Some(candidate) = highest.checked_sub(number * STEP) else { break };
        let Some(found) = leaf(scanner, candidate, pgd, levels, sample.address())? else {
            continue;
        };
        let offset = sample.address() & ((1 << found.shift) - 1);
        let place = (found.entry & PHYSICAL_MASK & !((1 << found.shift) - 1)) | offset;
        if let Some(place) = candidate.checked_add(place)
            && scanner.words(place)? == Some(sample.pattern)
        {
            return Ok(candidate);
        }
    }
    Err(ScanError::Unknown("the direct map of physical memory was not found".to_owned()))
}

/// Walks our own page tables to the leaf that maps an address; `None` when there is none, or a
/// table cannot be read.
fn leaf(
    scanner: &mut Scanner,
    direct_map: u64,
    pgd: u64,
    levels: u32,
    address: u64,
) -> Result<Option<Leaf>, ScanError> {
    let mut table = pgd;
    for shift in [48, 39, 30, 21, 12].into_iter().skip(usize::from(levels != 5)) {
        let index = (address >> shift) & 511;
        // 64 bytes at a time, and tables are aligned to them.
        let Some(words) = scanner.words(table + (index & !7) * 8)? else {
            return Ok(None);
        };
        let entry = words[usize::from(u8::try_from(index & 7).unwrap_or(0))];
        let (present, huge) = (entry & 1 != 0, entry & 1 << 7 != 0);
        if !present {
            return Ok(None);
        }
        if shift == 12 || (huge && shift <= 30) {
            return Ok(Some(Leaf { entry, shift }));
        }
        match direct_map.checked_add(entry & PHYSICAL_MASK) {
            Some(below) => table = below,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// The first frame of the huge page of zeroes, which a read maps where THP is allowed.
fn huge_zero_frame(
    scanner: &mut Scanner,
    direct_map: u64,
    pgd: u64,
    levels: u32,
) -> Result<Option<u64>, ScanError> {
    let sample = Sample::new(2 * PMD)?;
    let aligned = sample.address().next_multiple_of(PMD as u64);
    sample.want_huge();
    sample.look(usize::try_from(aligned - sample.address()).unwrap_or(0));
    let found = leaf(scanner, direct_map, pgd, levels, aligned)?;
    // Written to, so present and huge: a page of its own. Only a read-only leaf is shared.
    Ok(found
        .filter(|leaf| leaf.shift == 21 && leaf.entry & 1 << 1 == 0)
        .map(|leaf| (leaf.entry & PHYSICAL_MASK & !(PMD as u64 - 1)) >> 12))
}

/// Memory of this process that is looked at.
struct Sample {
    memory: *mut c_void,
    length: usize,
    pattern: [u64; 8],
}

impl Sample {
    fn new(length: usize) -> Result<Self, ScanError> {
        #[expect(unsafe_code, reason = "memory whose page tables are known")]
        // SAFETY: a new private mapping at an address that the kernel chooses.
        let memory = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(|error| ScanError::Unknown(format!("no memory for a sample: {error}")))?;
        // Not to be found by accident: it differs in each run.
        let seed = crate::clock::monotonic() ^ (memory as u64).rotate_left(32);
        let pattern = std::array::from_fn(|i| {
            (seed ^ i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        Ok(Self { memory, length, pattern })
    }

    fn address(&self) -> u64 {
        self.memory as u64
    }

    /// Writes the pattern to the beginning.
    fn fill(&self) {
        #[expect(unsafe_code, reason = "writes to the sample")]
        // SAFETY: the mapping is page-aligned, writable and longer than the pattern.
        unsafe {
            self.memory.cast::<[u64; 8]>().write_volatile(self.pattern);
        }
    }

    /// Reads a byte, so that something is mapped there.
    fn look(&self, offset: usize) {
        assert!(offset < self.length);
        #[expect(unsafe_code, reason = "reads the sample")]
        // SAFETY: inside of the mapping.
        let _ = unsafe { self.memory.cast::<u8>().add(offset).read_volatile() };
    }

    /// Asks for THP; without it the sample only has base pages.
    fn want_huge(&self) {
        #[expect(unsafe_code, reason = "advice for the sample")]
        // SAFETY: the whole of our own mapping; the advice does not change its contents.
        let _ = unsafe { madvise(self.memory, self.length, Advice::LinuxHugepage) };
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "gives the sample back")]
        // SAFETY: our own mapping, which nothing refers to any more.
        let _ = unsafe { munmap(self.memory, self.length) };
    }
}

/// What each swap type stands for. The special ones stand at the end, in this order: hardware
/// poison, migration, device, marker (`include/linux/swap.h`); which of them a kernel has shows in its
/// functions. What stands behind the marker is `SWP_SWAPIN_ERROR`: swap space that could not be read,
/// for which the marker of poison is used from Linux 6.2 on.
fn swap_kinds(facts: &Facts, marker: u8) -> [u8; SWAP_TYPES] {
    let has = |name| facts.has_function(name);
    let mut special = Vec::new();
    if has("memory_failure") {
        special.push(kind::HW_POISON);
    }
    if has("migrate_pages") {
        // Read, read-exclusive, write.
        special.extend([kind::MIGRATION; 3]);
    }
    if has("make_device_exclusive_range") {
        // Private write and read, exclusive write and read.
        special.extend([kind::DEVICE_PRIVATE, kind::DEVICE_PRIVATE]);
        special.extend([kind::DEVICE_EXCLUSIVE, kind::DEVICE_EXCLUSIVE]);
    } else if has("make_device_exclusive") {
        special.extend([kind::DEVICE_PRIVATE, kind::DEVICE_PRIVATE, kind::DEVICE_EXCLUSIVE]);
    }
    special.push(kind::MARKER);
    special.extend((marker..LAST_SWAP_TYPE).map(|_| kind::UFFD_POISON));
    let mut kinds = [kind::SWAP; SWAP_TYPES];
    let first = SWAP_TYPES - special.len();
    kinds[first..].copy_from_slice(&special);
    kinds
}

/// What a marker stands for, by the lowest bits of its value.
fn marker_kinds() -> [u8; 8] {
    std::array::from_fn(|value| match value {
        0 => kind::OTHER,
        value if value & 4 != 0 => kind::GUARD,
        value if value & 2 != 0 => kind::UFFD_POISON,
        _ => kind::UFFD_WP,
    })
}

#[cfg(test)]
mod tests {
    use probe_common::scan::kind;

    use super::swap_kinds;
    use crate::kernel::facts::{Facts, FunctionFacts};

    fn kernel(functions: &[&str]) -> Facts {
        let there = FunctionFacts { symbols: Some(1), ..FunctionFacts::default() };
        let functions = functions.iter().map(|&name| (name.to_owned(), there.clone())).collect();
        Facts { functions, ..Facts::default() }
    }

    #[test]
    fn special_swap_types_stand_at_the_end() {
        // As 6.12 is configured by Debian.
        let kinds = swap_kinds(&kernel(&["memory_failure", "migrate_pages"]), 31);
        assert_eq!(kinds[26..28], [kind::SWAP, kind::HW_POISON]);
        assert_eq!(kinds[28..], [kind::MIGRATION, kind::MIGRATION, kind::MIGRATION, kind::MARKER]);
        // As 7.2, where one type of device memory is gone.
        let all = ["memory_failure", "migrate_pages", "make_device_exclusive"];
        let kinds = swap_kinds(&kernel(&all), 31);
        assert_eq!(kinds[23..26], [kind::SWAP, kind::HW_POISON, kind::MIGRATION]);
        assert_eq!(kinds[30..], [kind::DEVICE_EXCLUSIVE, kind::MARKER]);
    }

    #[test]
    fn the_marker_was_not_always_the_last_one() {
        // As 6.1.
        let kinds = swap_kinds(&kernel(&["migrate_pages"]), 30);
        assert_eq!(kinds[26..28], [kind::SWAP, kind::MIGRATION]);
        assert_eq!(kinds[29..], [kind::MIGRATION, kind::MARKER, kind::UFFD_POISON]);
    }
}
