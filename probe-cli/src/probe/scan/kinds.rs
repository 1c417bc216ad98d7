//! What entries hold, on this kernel.

use probe_common::entry::{self, PTE_SHIFT, bits};

use crate::{kernel::facts::Facts, model::leaf::LeafKind};

/// Types of swap entries (`SWP_TYPE_BITS`, arch/x86/include/asm/pgtable_64.h).
const SWAP_TYPES: usize = 32;

/// The last of them.
const LAST_SWAP_TYPE: u8 = 31;

/// What tells the kinds of entries apart.
#[derive(Clone, Debug)]
pub(super) struct Kinds {
    /// Page frame of the base page of zeroes, which the kernel always maps as a special page
    /// (`do_anonymous_page`, mm/memory.c).
    pub(super) zero_frame: Option<u64>,
    /// First page frame of the huge page of zeroes.
    pub(super) huge_zero_frame: Option<u64>,
    /// By swap type; `None` for the type of markers.
    swap: [Option<LeafKind>; SWAP_TYPES],
}

impl Kinds {
    /// Without the pages of zeroes, which have to be looked for. `marker` is the swap type of markers,
    /// where it could be found.
    ///
    /// The special swap types stand at the end, in this order: hardware poison, migration, device,
    /// marker (`include/linux/swap.h`); which of them a kernel has shows in its functions. What stands behind
    /// the marker is `SWP_SWAPIN_ERROR`: swap space that could not be read, for which the marker
    /// of poison is used from Linux 6.2 on.
    pub(super) fn new(facts: &Facts, marker: Option<u8>) -> Self {
        use LeafKind::{DeviceExclusive, DevicePrivate, HwPoison, Migration, UffdPoison};
        let has = |name| facts.has_function(name);
        let mut special = Vec::new();
        if has("memory_failure") {
            special.push(Some(HwPoison));
        }
        if has("migrate_pages") {
            // Read, read-exclusive, write.
            special.extend([Some(Migration); 3]);
        }
        if has("make_device_exclusive_range") {
            // Private write and read, exclusive write and read.
            special
                .extend([DevicePrivate, DevicePrivate, DeviceExclusive, DeviceExclusive].map(Some));
        } else if has("make_device_exclusive") {
            special.extend([DevicePrivate, DevicePrivate, DeviceExclusive].map(Some));
        }
        special.push(None);
        special
            .extend((marker.unwrap_or(LAST_SWAP_TYPE)..LAST_SWAP_TYPE).map(|_| Some(UffdPoison)));
        let mut swap = [Some(LeafKind::Swap); SWAP_TYPES];
        swap[SWAP_TYPES - special.len()..].copy_from_slice(&special);
        Self { zero_frame: None, huge_zero_frame: None, swap }
    }

    /// What an entry of the last level holds.
    pub(super) fn base(&self, entry: u64) -> LeafKind {
        if entry == 0 {
            LeafKind::Hole
        } else if entry::is_mapped(entry) {
            mapped(entry, PTE_SHIFT, self.zero_frame.filter(|_| is_special(entry)))
        } else {
            self.absent(entry)
        }
    }

    /// What an entry of a level above holds that points to no table.
    pub(super) fn huge(&self, entry: u64, shift: u32) -> LeafKind {
        if entry == 0 {
            LeafKind::Hole
        } else if entry::is_huge(entry) || entry::is_mapped(entry) {
            mapped(entry, shift, self.huge_zero_frame)
        } else {
            self.absent(entry)
        }
    }

    /// What entries of the last level with this AND and OR hold, where that shows that all hold the same.
    pub(super) fn alike(&self, all: u64, any: u64) -> Option<LeafKind> {
        let differ = all ^ any;
        if differ & bits::CLASS != 0 || !entry::is_mapped(all) {
            return (any == 0).then_some(LeafKind::Hole);
        }
        let same_frame = differ & entry::PHYSICAL_MASK == 0;
        (same_frame || !is_special(all)).then(|| self.base(all))
    }

    fn absent(&self, entry: u64) -> LeafKind {
        let of_type = usize::try_from(entry::swap_type(entry)).ok().and_then(|i| self.swap.get(i));
        match of_type {
            Some(Some(kind)) => *kind,
            _ => marker(entry::swap_offset(entry)),
        }
    }
}

/// A page of zeroes, or a bare page frame.
pub(super) const fn is_special(entry: u64) -> bool {
    entry & bits::SPECIAL != 0
}

fn mapped(entry: u64, shift: u32, zero_frame: Option<u64>) -> LeafKind {
    // Also where it traps: the kernel counts it as nobody's memory all the same (`vm_normal_page`).
    if zero_frame == Some(entry::frame(entry, shift)) {
        LeafKind::Zero
    } else if entry::traps(entry) {
        LeafKind::ProtNone
    } else {
        LeafKind::Present
    }
}

/// `PTE_MARKER_UFFD_WP`, `_POISONED`, `_GUARD` (include/linux/swapops.h): bits of the value.
fn marker(value: u64) -> LeafKind {
    match value & 7 {
        0 => LeafKind::Other,
        value if value & 4 != 0 => LeafKind::Guard,
        value if value & 2 != 0 => LeafKind::UffdPoison,
        _ => LeafKind::UffdWp,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kinds, bits, entry};
    use crate::{
        kernel::facts::{Facts, FunctionFacts},
        model::leaf::LeafKind,
    };

    fn kinds(functions: &[&str], marker: Option<u8>) -> Kinds {
        let function = FunctionFacts { symbols: Some(1), ..FunctionFacts::default() };
        let functions = functions.iter().map(|name| ((*name).to_owned(), function.clone()));
        let facts = Facts { functions: functions.collect(), ..Facts::default() };
        Kinds { zero_frame: Some(7), huge_zero_frame: Some(512), ..Kinds::new(&facts, marker) }
    }

    /// An entry with this swap type and offset, as the kernel makes it (`__swp_entry`).
    fn swap(kind: u64, offset: u64) -> u64 {
        (!offset << 14 >> 5) | kind << 59
    }

    #[test]
    fn swap_types_follow_the_functions_that_a_kernel_has() {
        use LeafKind::{
            DeviceExclusive as E, DevicePrivate as D, Guard, HwPoison, Migration as M, Swap,
        };
        let all = kinds(&["memory_failure", "migrate_pages", "make_device_exclusive"], Some(31));
        let found: Vec<_> = (23..32).map(|kind| all.base(swap(kind, 4))).collect();
        assert_eq!(found, [Swap, HwPoison, M, M, M, D, D, E, Guard]);
        let few = kinds(&["migrate_pages", "make_device_exclusive_range"], None);
        let found: Vec<_> = (23..32).map(|kind| few.base(swap(kind, 4))).collect();
        assert_eq!(found, [Swap, M, M, M, D, D, E, E, Guard]);
        assert_eq!(kinds(&[], None).base(swap(30, 4)), Swap);
        assert_eq!(all.base(swap(31, 1)), LeafKind::UffdWp);
        assert_eq!(all.base(swap(31, 2)), LeafKind::UffdPoison);
        assert_eq!(all.base(swap(31, 8)), LeafKind::Other);
        assert_eq!(all.huge(swap(26, 9), 21), M);
    }

    #[test]
    fn the_marker_was_not_always_the_last_type() {
        use LeafKind::{Migration as M, Swap, UffdPoison, UffdWp};
        // As 6.1.
        let kinds = kinds(&["migrate_pages"], Some(30));
        let found: Vec<_> = (26..32).map(|kind| kinds.base(swap(kind, 1))).collect();
        assert_eq!(found, [Swap, M, M, M, UffdWp, UffdPoison]);
    }

    #[test]
    fn entries_with_the_same_and_and_or_are_alike() {
        let kinds = kinds(&[], None);
        let page = |frame: u64, flags: u64| frame << 12 | flags;
        let present = [page(8, bits::PRESENT | bits::DIRTY), page(9, bits::PRESENT)];
        let zero = [page(7, bits::PRESENT | bits::SPECIAL); 2];
        let bare = [zero[0], page(8, bits::PRESENT | bits::SPECIAL)];
        // PROT_NONE, where the address is inverted.
        let trapping = [!(7 << 12) & entry::PHYSICAL_MASK | bits::PROT_NONE | bits::SPECIAL; 2];
        assert_eq!(kinds.alike(trapping[0], trapping[1]), Some(LeafKind::Zero));
        let mixed = [present[0], 0];
        let alike =
            |entries: [u64; 2]| kinds.alike(entries[0] & entries[1], entries[0] | entries[1]);
        assert_eq!(alike(present), Some(LeafKind::Present));
        assert_eq!(alike(zero), Some(LeafKind::Zero));
        assert_eq!(alike([0, 0]), Some(LeafKind::Hole));
        assert_eq!(alike(bare), None);
        assert_eq!(alike(mixed), None);
        assert_eq!(alike([swap(1, 2), swap(2, 1)]), None);
    }
}
