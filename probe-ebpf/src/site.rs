//! Calls of walkers' functions: counted, timed and summed up, without a record for each.
//!
//! ```c
//! int smaps_pte_range(pmd_t *pmd, unsigned long addr, unsigned long end, struct mm_walk *walk);          // Pmd
//! int guard_remove_pte_entry(pte_t *pte, unsigned long addr, unsigned long next, struct mm_walk *walk);  // Pte
//! int smaps_hugetlb_range(pte_t *pte, unsigned long hmask, unsigned long addr, ..., struct mm_walk *walk); // Hugetlb
//! int walk_pud_range(p4d_t *p4d, unsigned long start, unsigned long end, struct mm_walk *args);          // Walk
//! long change_protection(struct mmu_gather *tlb, struct vm_area_struct *vma, ..., ...);                  // Range
//! unsigned long move_page_tables(struct pagetable_move_control *pmc);                                    // Move
//! int copy_page_range(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma);                   // Whole
//! struct folio *folio_walk_start(struct folio_walk *fw, struct vm_area_struct *vma, ...);                // Leaf
//! bool try_to_migrate_one(struct folio *folio, struct vm_area_struct *vma, ...);                         // Vma
//! long __get_user_pages(struct mm_struct *mm, unsigned long start, unsigned long nr_pages, ...);         // Pages
//! int gup_fast_fallback(unsigned long start, unsigned long nr_pages, ...);                               // OwnPages
//! long faultin_page_range(struct mm_struct *mm, unsigned long start, unsigned long end, ...);            // Span
//! void free_pgd_range(struct mmu_gather *tlb, unsigned long addr, unsigned long end, ...);               // OwnSpan
//! ```

use core::{arch::asm, ptr};

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{PerCpuArray, PerCpuHashMap},
};
use probe_common::{
    entry::{PMD_SHIFT, PTE_SHIFT, PUD_SHIFT, is_leaf},
    histogram::{BUCKETS, bucket},
    site::{
        ANY, GENERIC, Over, PLACES, PMD, PTE, PUD, PartiesKey, PartiesPlace, PartiesStat, Shape,
        Site, Sites, Sums, Uncounted,
    },
};

use crate::{
    config::{Position, offset},
    context::Context,
    counters::add,
    fault::hugetlb_order,
    kernel::{read, read_integer},
    operation::Operation,
    output::comm,
    slots::{self, Key},
    target::{Actor, is_wanted},
};

/// Written by user space before loading, frozen afterwards.
#[unsafe(no_mangle)]
static WALK_SITES: Sites = Sites::NONE;

/// User space sets the sizes of these before loading.
#[map]
static WALK_SUMS: PerCpuArray<Sums> = PerCpuArray::with_max_entries(1, 0);

/// The pairs that come first, each where it is found without a search.
#[map]
static WALK_PLACES: PerCpuArray<PartiesPlace> = PerCpuArray::with_max_entries(PLACES, 0);

/// The others.
#[map]
static WALK_PARTIES: PerCpuHashMap<PartiesKey, PartiesStat> = PerCpuHashMap::with_max_entries(1, 0);

#[map]
static WALK_UNCOUNTED: PerCpuArray<Uncounted> = PerCpuArray::with_max_entries(1, 0);

/// `VM_HUGETLB` (`include/linux/mm.h`): bit 22 since it exists.
const VM_HUGETLB: u64 = 1 << 22;

/// What a call is given.
struct Call {
    /// `struct mm_struct *`.
    mm: u64,
    /// Which row of the site.
    place: u32,
    entries: u64,
    bytes: u64,
}

/// One field of a site; volatile, because the compiler only knows the value before patching.
macro_rules! field {
    ($number:expr, $($field:ident).+) => {{
        let site: *const Site = (&raw const WALK_SITES).cast::<Site>().wrapping_add($number as usize);
        unsafe { ptr::read_volatile(&raw const (*site).$($field).+) }
    }};
}

macro_rules! argument {
    ($context:expr, $number:expr, $name:ident) => {
        $context.argument(Position(field!($number, arguments.$name)))
    };
}

/// The beginning of a call. The time is taken last: what comes before is not in what is measured.
#[inline(always)]
pub fn enter<C: Context>(context: C, number: u32) {
    let actor = Actor::current();
    let Some(call) = call(context, number, actor) else {
        return;
    };
    let target_tgid = actor.owner_of(call.mm);
    if !is_wanted(target_tgid) && field!(number, shape) != Shape::Nothing as u8 {
        return;
    }
    let small = u32::from(field!(number, row)) + call.place;
    let words = [call.entries, call.bytes, 0];
    let key = Key::of_site(actor.tid, number);
    let time = unsafe { bpf_ktime_get_ns() };
    if !slots::put(key, Operation { time, target_tgid, small, words })
        && let Some(uncounted) = WALK_UNCOUNTED.get_ptr_mut(0)
    {
        add(unsafe { &mut (*uncounted).state }, 1);
    }
}

#[inline(always)]
fn call<C: Context>(context: C, number: u32, actor: Actor) -> Option<Call> {
    let shape = field!(number, shape);
    if shape == Shape::Pmd as u8 {
        let entry: u64 = read_integer(argument!(context, number, pmd)).unwrap_or(0);
        let bytes = length(context, number);
        // DAMON asks for a byte.
        let pages = (bytes + (1 << PTE_SHIFT) - 1) >> PTE_SHIFT;
        let (place, entries) = if is_leaf(entry) { (PMD, 1) } else { (PTE, pages) };
        Some(Call { mm: walked(context, number), place, entries, bytes })
    } else if shape == Shape::Pte as u8 {
        let bytes = length(context, number);
        Some(Call { mm: walked(context, number), place: PTE, entries: 1, bytes })
    } else if shape == Shape::Hugetlb as u8 {
        let size = argument!(context, number, other).wrapping_neg();
        let bytes = length(context, number);
        Some(Call { mm: walked(context, number), place: level(size), entries: 1, bytes })
    } else if shape == Shape::Walk as u8 {
        let bytes = length(context, number);
        Some(Call { mm: walked(context, number), place: 0, entries: 0, bytes })
    } else if shape == Shape::Range as u8 {
        of_vma(argument!(context, number, vma), number, length(context, number), 0)
    } else if shape == Shape::Move as u8 {
        let object = Position(field!(number, arguments.object));
        let (vma, bytes) = if object.is_known() {
            let control = context.argument(object);
            let start: u64 = read(control, offset!(pagetable_move_control_old_addr))?;
            let end: u64 = read(control, offset!(pagetable_move_control_old_end))?;
            (read(control, offset!(pagetable_move_control_old))?, end.wrapping_sub(start))
        } else {
            (argument!(context, number, vma), argument!(context, number, len))
        };
        of_vma(vma, number, bytes, 0)
    } else if shape == Shape::Whole as u8 {
        let vma = argument!(context, number, vma);
        let start: u64 = read(vma, offset!(vm_area_struct_vm_start))?;
        let end: u64 = read(vma, offset!(vm_area_struct_vm_end))?;
        of_vma(vma, number, end.wrapping_sub(start), 0)
    } else if shape == Shape::Leaf as u8 {
        of_vma(argument!(context, number, vma), number, 0, 1)
    } else if shape == Shape::Vma as u8 {
        of_vma(argument!(context, number, vma), number, 0, 0)
    } else if shape == Shape::Pages as u8 {
        let bytes = argument!(context, number, len) << PTE_SHIFT;
        Some(Call { mm: argument!(context, number, mm), place: 0, entries: 0, bytes })
    } else if shape == Shape::OwnPages as u8 {
        let bytes = argument!(context, number, len) << PTE_SHIFT;
        Some(Call { mm: actor.mm(), place: 0, entries: 0, bytes })
    } else if shape == Shape::Span as u8 {
        let bytes = length(context, number);
        Some(Call { mm: argument!(context, number, mm), place: 0, entries: 0, bytes })
    } else if shape == Shape::OwnSpan as u8 {
        Some(Call { mm: actor.mm(), place: 0, entries: 0, bytes: length(context, number) })
    } else {
        Some(Call { mm: actor.mm(), place: 0, entries: 0, bytes: 0 })
    }
}

/// The bytes from the first address to the last one.
#[inline(always)]
fn length<C: Context>(context: C, number: u32) -> u64 {
    argument!(context, number, end).wrapping_sub(argument!(context, number, address))
}

/// The address space of a walk.
#[inline(always)]
fn walked<C: Context>(context: C, number: u32) -> u64 {
    let vma = read(argument!(context, number, walk), offset!(mm_walk_vma)).unwrap_or(0);
    read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0)
}

/// What a call covers that is given a VMA; `None` when the VMA is that of another function. So many
/// bytes, or so many leaves of whatever size.
#[inline(always)]
fn of_vma(vma: u64, number: u32, bytes: u64, leaves: u64) -> Option<Call> {
    let over = field!(number, over);
    let mm = read(vma, offset!(vm_area_struct_vm_mm)).unwrap_or(0);
    let flags: u64 = read(vma, offset!(vm_area_struct_vm_flags)).unwrap_or(0);
    if flags & VM_HUGETLB == 0 {
        let place = if over == Over::Both as u8 { GENERIC } else { 0 };
        return if over == Over::Hugetlb as u8 {
            None
        } else {
            Some(Call { mm, place, entries: leaves, bytes })
        };
    }
    if over == Over::Generic as u8 {
        // From 7.1 on, `__zap_vma_range` is entered for hugetlb VMAs too, and calls what is theirs.
        return None;
    }
    let Some(order) = hugetlb_order(vma) else {
        return Some(Call { mm, place: ANY, entries: leaves, bytes });
    };
    let shift = (order & 31) + PTE_SHIFT;
    let bytes = if leaves != 0 { leaves << shift } else { bytes };
    Some(Call { mm, place: level(1 << shift), entries: bytes >> shift, bytes })
}

/// The level of a hugetlb page of so many bytes.
#[inline(always)]
fn level(size: u64) -> u32 {
    if size >= 1 << PUD_SHIFT {
        PUD
    } else if size >= 1 << PMD_SHIFT {
        PMD
    } else {
        PTE
    }
}

/// The end of a call. The time is taken first.
#[inline(always)]
pub fn exit(number: u32) {
    let now = unsafe { bpf_ktime_get_ns() };
    let actor = Actor::current();
    let Some(operation) = slots::take(Key::of_site(actor.tid, number)) else {
        return;
    };
    let ns = now.wrapping_sub(operation.time);
    let [entries, bytes, _] = operation.words;
    if let Some(sums) = WALK_SUMS.get_ptr_mut(operation.small) {
        let sums = unsafe { &mut *sums };
        add(&mut sums.calls, 1);
        add(&mut sums.entries, entries);
        add(&mut sums.bytes, bytes);
        add(&mut sums.ns, ns);
        let index = within(bucket(ns)) as usize;
        add(unsafe { &mut *(&raw mut sums.durations).cast::<u64>().add(index) }, 1);
    }
    if field!(number, shape) != Shape::Nothing as u8 {
        add_to_parties(number, actor.tgid, operation.target_tgid, ns);
    }
}

/// The same number, which is below [`BUCKETS`], so that the verifier sees it: the compiler, which knows it, would
/// leave the instruction out.
#[inline(always)]
fn within(mut index: u64) -> u64 {
    unsafe {
        asm!(
            "{index} &= {last}",
            index = inlateout(reg) index,
            last = const BUCKETS - 1,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    index
}

#[inline(always)]
fn add_to_parties(site: u32, actor: u32, target: u32, ns: u64) {
    let key = PartiesKey::new(site, actor, target);
    let stat = match place(key) {
        Some(stat) => Some(stat),
        None => searched(key),
    };
    if let Some(stat) = stat {
        let stat = unsafe { &mut *stat };
        add(&mut stat.calls, 1);
        add(&mut stat.ns, ns);
    } else if let Some(uncounted) = WALK_UNCOUNTED.get_ptr_mut(0) {
        add(unsafe { &mut (*uncounted).parties }, 1);
    }
}

/// In the place that it may have; `None` when another pair has that.
#[inline(always)]
fn place(key: PartiesKey) -> Option<*mut PartiesStat> {
    let place = unsafe { &mut *WALK_PLACES.get_ptr_mut(key.place())? };
    let owner = unsafe { ptr::read_volatile(&raw const place.owner) };
    if owner != key.0 {
        // A program that this one preempted can be quicker, and on old kernels nobody gets a place.
        if owner != 0 || slots::exchange(&mut place.owner, key.0) != 0 {
            return None;
        }
        place.stat.comm = comm();
    }
    Some(&raw mut place.stat)
}

#[inline(always)]
fn searched(key: PartiesKey) -> Option<*mut PartiesStat> {
    WALK_PARTIES.get_ptr_mut(key).or_else(|| {
        // Another thread can be quicker (`BPF_NOEXIST`), which is as good.
        let _ = WALK_PARTIES.insert(key, PartiesStat { calls: 0, ns: 0, comm: comm() }, 1);
        WALK_PARTIES.get_ptr_mut(key)
    })
}
