//! Reads kernel memory by plain loads, where the kernel lets a program say what an address points to.
//!
//! A call of a helper takes some hundred instructions, so that the processor waits for one or two
//! cache misses at a time; of plain loads it keeps many under way.

use core::{arch::asm, ptr};

/// The BTF number of a structure that begins with two 64-bit integers; 0 where the kernel has no
/// `bpf_rdonly_cast` (Linux 6.2). Written by user space before loading.
#[unsafe(no_mangle)]
static WORDS_TYPE: u32 = 0;

/// The two words at an address, 0 where they cannot be read; `None` where this is not possible.
#[inline(always)]
pub fn two_words(address: u64) -> Option<[u64; 2]> {
    let words = cast(address)?;
    Some(unsafe { [ptr::read_volatile(words), ptr::read_volatile(words.add(1))] })
}

/// The integer at an address, 0 where it cannot be read; `None` where this is not possible.
#[inline(always)]
pub fn integer<T>(address: u64) -> Option<T> {
    const { assert!(size_of::<T>() <= size_of::<u64>()) };
    let words = cast(address)?;
    Some(unsafe { ptr::read_volatile(words.cast()) })
}

/// An address that the program may read from.
#[inline(always)]
fn cast(address: u64) -> Option<*const u64> {
    let words_type = unsafe { ptr::read_volatile(&raw const WORDS_TYPE) };
    if words_type == 0 {
        return None;
    }
    let words: *const u64;
    // The number stands for `bpf_rdonly_cast`: user space puts the kernel's own in its place.
    unsafe {
        asm!(
            "call 1464947779",
            inlateout("r1") address => _,
            inlateout("r2") u64::from(words_type) => _,
            lateout("r0") words,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            options(nostack),
        );
    }
    Some(words)
}
