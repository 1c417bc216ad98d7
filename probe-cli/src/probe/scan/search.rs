//! Finds out where this kernel keeps what the scan needs, and checks it on memory of this process.

use std::{ffi::c_void, fs::File, ptr};

use probe_common::{
    entry::{self, P4D_SHIFT, PGD_SHIFT, PMD_SHIFT, PTE_SHIFT, PUD_SHIFT},
    scan::NO_OFFSET,
};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::{AddressSpace, ScanError, Scanner};
use crate::kernel::{facts::Facts, symbols::Symbols};

const PAGE: usize = 1 << PTE_SHIFT;
const PMD: usize = 1 << PMD_SHIFT;

/// The direct map begins at a multiple of 1 GiB (`kernel_randomize_memory`, arch/x86/mm/kaslr.c).
const STEP: u64 = 1 << 30;

/// More physical memory than this is not looked for: 64 TiB.
const MOST_STEPS: u64 = 1 << 16;

/// With four levels the kernel's half of the address space begins here; with five, below.
const FOUR_LEVELS: u64 = 0xffff_8000_0000_0000;

/// Fills in everything that a walk must know; gives the address space of this process.
pub(super) fn orient(scanner: &mut Scanner, facts: &Facts) -> Result<AddressSpace, ScanError> {
    let offset = |name: &str| offset(facts, name).map_err(ScanError::Unknown);
    let task_struct_files = offset("task_struct.files")?;
    let files_struct_fdt = offset("files_struct.fdt")?;
    let fdtable_fd = offset("fdtable.fd")?;
    let file_private_data = offset("file.private_data")?;
    let mm_struct_pgd = offset("mm_struct.pgd")?;
    scanner.state.update(|state| {
        state.task_struct_files = task_struct_files;
        state.files_struct_fdt = files_struct_fdt;
        state.fdtable_fd = fdtable_fd;
        state.file_private_data = file_private_data;
        state.mm_struct_pgd = mm_struct_pgd;
    });
    let pagemap = File::open("/proc/self/pagemap")
        .map_err(|error| ScanError::Unknown(format!("/proc/self/pagemap: {error}")))?;
    let own = scanner.resolve(pagemap)?;

    let sample = Sample::new(PAGE)?;
    sample.fill();
    let levels = if own.pgd < FOUR_LEVELS { 5 } else { 4 };
    let direct_map = find_direct_map(scanner, own.pgd, levels, &sample)?;
    scanner.state.update(|state| {
        state.direct_map = direct_map;
        state.levels = levels;
    });

    let zero = Sample::new(PAGE)?;
    zero.look(0);
    scanner.kinds.zero_frame = own_leaf(scanner, &own, zero.address())?.map(|leaf| leaf.frame());
    scanner.kinds.huge_zero_frame = huge_zero_frame(scanner, &own)?;
    if scanner.kinds.huge_zero_frame.is_none() {
        scanner.huge_zero_pfn = symbol("huge_zero_pfn");
    }
    Ok(own)
}

/// Where the kernel keeps a variable; `None` when it does not tell. This reads all symbols, in some ms.
fn symbol(name: &str) -> Option<u64> {
    let symbols = Symbols::read(&[name].into()).ok()?;
    symbols.address(name).filter(|_| symbols.count(name) == 1)
}

/// The first frame of the huge page of zeroes, as the kernel has it now, where nothing here holds it.
pub(super) fn find_huge_zero(scanner: &mut Scanner) -> Result<Option<u64>, ScanError> {
    let Some(address) = scanner.huge_zero_pfn else { return Ok(None) };
    // `~0UL` while there is none (mm/huge_memory.c).
    Ok(scanner.words(address)?.map(|words| words[0]).filter(|&frame| frame != u64::MAX))
}

/// The offset of a member, or why it is not known.
pub(super) fn offset(facts: &Facts, name: &str) -> Result<u32, String> {
    facts.offsets.get(name).copied().filter(|&offset| offset != NO_OFFSET).ok_or_else(|| {
        let why = facts.no_btf.as_deref().unwrap_or("not in its BTF");
        format!("no offset of {name}: {why}")
    })
}

/// What stands at the end of a walk.
pub(super) struct Leaf {
    entry: u64,
    shift: u32,
}

impl Leaf {
    /// The first page frame that it maps.
    pub(super) fn frame(&self) -> u64 {
        entry::frame(self.entry, self.shift)
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
        let place = (found.frame() << PTE_SHIFT) | (sample.address() & ((1 << found.shift) - 1));
        if let Some(place) = candidate.checked_add(place)
            && scanner.words(place)? == Some(sample.pattern)
        {
            return Ok(candidate);
        }
    }
    Err(ScanError::Unknown("the direct map of physical memory was not found".to_owned()))
}

/// The leaf that maps an address of this process, once the direct map is known.
pub(super) fn own_leaf(
    scanner: &mut Scanner,
    own: &AddressSpace,
    address: u64,
) -> Result<Option<Leaf>, ScanError> {
    let (direct_map, levels) = (scanner.state.get().direct_map, scanner.state.get().levels);
    leaf(scanner, direct_map, own.pgd, levels, address)
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
    let shifts = [PGD_SHIFT, P4D_SHIFT, PUD_SHIFT, PMD_SHIFT, PTE_SHIFT];
    for shift in shifts.into_iter().skip(usize::from(levels != 5)) {
        let index = entry::index(address, shift);
        // 64 bytes at a time, and tables are aligned to them.
        let Some(words) = scanner.words(table + (index & !7) * 8)? else {
            return Ok(None);
        };
        let entry = words[usize::from(u8::try_from(index & 7).unwrap_or(0))];
        if entry & entry::bits::PRESENT == 0 {
            return Ok(None);
        }
        if shift == PTE_SHIFT || (!entry::is_table(entry) && shift <= PUD_SHIFT) {
            return Ok(Some(Leaf { entry, shift }));
        }
        match direct_map.checked_add(entry & entry::PHYSICAL_MASK) {
            Some(below) => table = below,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// The first frame of the huge page of zeroes, which a read maps where THP is allowed; this process then holds it to
/// its end.
fn huge_zero_frame(scanner: &mut Scanner, own: &AddressSpace) -> Result<Option<u64>, ScanError> {
    let sample = Sample::new(2 * PMD)?;
    let aligned = sample.address().next_multiple_of(PMD as u64);
    sample.want_huge();
    sample.look(usize::try_from(aligned - sample.address()).unwrap_or(0));
    let found = own_leaf(scanner, own, aligned)?;
    // Written to, so present and huge: a page of its own. Only a read-only leaf is shared.
    let is_zero = |leaf: &Leaf| leaf.shift == PMD_SHIFT && leaf.entry & entry::bits::WRITABLE == 0;
    Ok(found.filter(is_zero).map(|leaf| leaf.frame()))
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
