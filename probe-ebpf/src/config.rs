//! What user space told these programs, as read-only globals.

use core::{mem::offset_of, ptr};

use probe_common::{
    config::{Arguments, Config, NONE8, NONE16, Offsets},
    probe::Probe,
};

use crate::context::Context;

/// Written by user space before loading, frozen afterwards: the verifier knows each value.
#[unsafe(no_mangle)]
static CONFIG: Config = Config::NONE;

/// The offset of a structure member that this kernel has.
#[derive(Clone, Copy)]
pub struct Offset(u16);

impl Offset {
    /// The address of the member in the structure at `base`, if both are known.
    #[inline(always)]
    pub fn of(self, base: u64) -> Option<u64> {
        if base == 0 || self.0 == NONE16 { None } else { Some(base + u64::from(self.0)) }
    }
}

/// A position in a function's argument list.
#[derive(Clone, Copy)]
pub struct Position(pub u8);

impl Position {
    #[inline(always)]
    pub fn is_known(self) -> bool {
        self.0 != NONE8
    }
}

/// Reads an offset of the running kernel by its name in [`Offsets`].
macro_rules! offset {
    ($name:ident) => {
        $crate::config::read_offset(core::mem::offset_of!(probe_common::config::Offsets, $name))
    };
}
pub(crate) use offset;

/// Reads the position of a probe's argument by its name in [`Arguments`].
macro_rules! position {
    ($probe:expr, $name:ident) => {
        $crate::config::Position($crate::config::read_argument(
            $probe,
            core::mem::offset_of!(probe_common::config::Arguments, $name),
        ))
    };
}
pub(crate) use position;

/// One `u16` of [`Offsets`]; volatile, because the compiler only knows the value before patching.
#[inline(always)]
pub fn read_offset(at: usize) -> Offset {
    let offsets: *const Offsets = &raw const CONFIG.offsets;
    Offset(unsafe { ptr::read_volatile(offsets.byte_add(at).cast()) })
}

/// One byte of a probe's [`Arguments`].
#[inline(always)]
pub fn read_argument(probe: Probe, at: usize) -> u8 {
    let arguments: *const Arguments = &raw const CONFIG.arguments[probe.index()];
    unsafe { ptr::read_volatile(arguments.byte_add(at).cast()) }
}

/// The return value of the probed function; `None` when it has none.
#[inline(always)]
pub fn returned<C: Context>(context: C, probe: Probe) -> Option<u64> {
    if read_argument(probe, offset_of!(Arguments, returns)) == 0 {
        return None;
    }
    Some(context.result(read_argument(probe, offset_of!(Arguments, count))))
}

/// Whether operations of this probe are sent as records.
#[inline(always)]
pub fn streams(probe: Probe) -> bool {
    unsafe { ptr::read_volatile(&raw const CONFIG.stream) & probe.bit() != 0 }
}

/// Whether records have stacks.
#[inline(always)]
pub fn wants_stacks() -> bool {
    unsafe { ptr::read_volatile(&raw const CONFIG.stacks) != 0 }
}

/// Whether only some processes are wanted.
#[inline(always)]
pub fn filters() -> bool {
    unsafe { ptr::read_volatile(&raw const CONFIG.filter) != 0 }
}

/// The only process that is wanted; 0 where there is not exactly one.
#[inline(always)]
pub fn only_target() -> u32 {
    unsafe { ptr::read_volatile(&raw const CONFIG.target) }
}

/// The name of the programs that are wanted; zeroes where none is.
#[inline(always)]
pub fn name() -> [u64; 2] {
    unsafe { ptr::read_volatile(&raw const CONFIG.name) }
}

/// From so many bytes in the ring buffer on the reader is woken.
#[inline(always)]
pub fn hurry() -> u64 {
    u64::from(unsafe { ptr::read_volatile(&raw const CONFIG.hurry) })
}

/// The bit of a folio's flags that says that it is large; `None` when it is not known.
#[inline(always)]
pub fn page_head() -> Option<u8> {
    let bit = unsafe { ptr::read_volatile(&raw const CONFIG.page_head) };
    if bit < 64 { Some(bit) } else { None }
}

/// Whether operations are added to the statistics of their process.
#[inline(always)]
pub fn keeps_statistics() -> bool {
    unsafe { ptr::read_volatile(&raw const CONFIG.statistics) != 0 }
}
