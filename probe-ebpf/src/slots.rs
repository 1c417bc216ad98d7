//! Where operations that are under way are kept: one of a probe at a time for each thread.
//!
//! Each key has one slot that it may use, in an array: the verifier makes a look-up there a few
//! instructions, where a hash map takes hundreds for an insertion and a removal. Of the keys that share a slot the first
//! one has it; the others find their place in the hash map, so that nothing is lost.

use core::{arch::asm, ptr};

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap},
};
use probe_common::{
    config::{SLOT_PROBE_BITS, SLOTS},
    probe::{PROBES, Probe},
};

use crate::{counters::add, operation::Operation};

/// A thread and a probe; never 0.
#[derive(Clone, Copy)]
pub struct Key(u64);

/// How many operations can be under way at once in the hash map.
const MAX_ELSEWHERE: u32 = 16384;

#[repr(C)]
struct Slot {
    /// The key that has it; 0 when nobody has.
    owner: u64,
    /// How many operations are in the hash map because this slot was another one's.
    elsewhere: u64,
    operation: Operation,
}

#[map(name = "SLOTS")]
static ARRAY: Array<Slot> = Array::with_max_entries(SLOTS, 0);

#[map(name = "OPERATIONS")]
static ELSEWHERE: HashMap<u64, Operation> = HashMap::with_max_entries(MAX_ELSEWHERE, 0);

impl Key {
    #[inline(always)]
    pub fn new(tid: u32, probe: Probe) -> Self {
        Self((u64::from(tid) << SLOT_PROBE_BITS | probe.index() as u64) + 1)
    }

    /// In the place of a probe: the thread's user stack is read.
    #[inline(always)]
    pub fn of_stack(tid: u32) -> Self {
        Self((u64::from(tid) << SLOT_PROBE_BITS | PROBES as u64) + 1)
    }

    /// A thread and a site. Where sites are counted no probe is attached, so that they share no key.
    #[inline(always)]
    pub fn of_site(tid: u32, site: u32) -> Self {
        Self((u64::from(tid) << SLOT_PROBE_BITS | u64::from(site)) + 1)
    }

    #[inline(always)]
    fn slot<'a>(self) -> Option<&'a mut Slot> {
        let slot = ARRAY.get_ptr_mut(self.0 as u32 & (SLOTS - 1))?;
        Some(unsafe { &mut *slot })
    }
}

/// Keeps an operation; `false` when there is no room.
#[inline(always)]
pub fn put(key: Key, operation: Operation) -> bool {
    let Some(slot) = key.slot() else {
        return false;
    };
    let owner = exchange(&mut slot.owner, key.0);
    if owner == 0 || owner == key.0 {
        slot.operation = operation;
        return true;
    }
    if ELSEWHERE.insert(key.0, operation, 0).is_err() {
        return false;
    }
    add(&mut slot.elsewhere, 1);
    true
}

/// Whether there is an operation.
#[inline(always)]
pub fn has(key: Key) -> bool {
    key.slot().is_some_and(|slot| {
        owner(slot) == key.0 || elsewhere(slot) != 0 && unsafe { ELSEWHERE.get(key.0) }.is_some()
    })
}

/// Takes an operation out.
#[inline(always)]
pub fn take(key: Key) -> Option<Operation> {
    let slot = key.slot()?;
    if owner(slot) == key.0 {
        // Only this thread writes this key: nobody else uses the slot until it is given back.
        let operation = slot.operation;
        give_back(&mut slot.owner);
        return Some(operation);
    }
    if elsewhere(slot) == 0 {
        return None;
    }
    let operation = unsafe { *ELSEWHERE.get(key.0)? };
    if ELSEWHERE.remove(key.0).is_ok() {
        add(&mut slot.elsewhere, u64::MAX);
    }
    Some(operation)
}

/// Uses the exchange, and changes nothing: whether the kernel takes it is to be seen.
#[inline(always)]
pub fn try_exchange() {
    if let Some(slot) = ARRAY.get_ptr_mut(0) {
        exchange(unsafe { &mut (*slot).owner }, 0);
    }
}

/// Volatile, for other CPUs write it.
#[inline(always)]
fn owner(slot: &Slot) -> u64 {
    unsafe { ptr::read_volatile(&raw const slot.owner) }
}

#[inline(always)]
fn elsewhere(slot: &Slot) -> u64 {
    unsafe { ptr::read_volatile(&raw const slot.elsewhere) }
}

/// Writes `key` where 0 stands, in one step; gives what stood there.
///
/// In assembler, because `core` has no `compare_exchange` for this target. Kernels before 5.12 do not
/// know the instruction: for them user space puts one in its place that gives a key that nobody has, so that all
/// operations go into the hash map.
#[inline(always)]
pub fn exchange(owner: &mut u64, key: u64) -> u64 {
    let before;
    unsafe {
        asm!(
            "r0 = cmpxchg_64(r1 + 0, r0, r2)",
            inlateout("r0") 0_u64 => before,
            in("r1") owner,
            in("r2") key,
            options(nostack, preserves_flags),
        );
    }
    before
}

/// Lets others have the slot. What was read from it before stays before: in assembler, because the backend
/// knows no fence for the compiler. The processor keeps the order by itself.
#[inline(always)]
fn give_back(owner: &mut u64) {
    unsafe {
        asm!(
            "*(u64 *)({owner} + 0) = {nobody}",
            owner = in(reg) owner,
            nobody = in(reg) 0_u64,
            options(nostack, preserves_flags),
        );
    }
}
