//! Arguments and return values, whatever the kind of program.
//!
//! The verifier wants every access to the context at a constant offset, and the position of an
//! argument is only known at load time. So each position has its own load instruction, and the
//! verifier, which knows the position from a frozen global, removes all but one.

use core::ffi::c_void;

use crate::{arch, config::Position};

/// Where a program finds the arguments and the return value of the probed function.
pub trait Context: Copy {
    /// The argument at `position`, or 0 when there is none.
    fn argument(self, position: Position) -> u64;
    /// The return value, given the number of arguments.
    fn result(self, count: u8) -> u64;
    /// What helpers want to be given.
    fn raw(self) -> *mut c_void;
}

/// The context of fentry and fexit programs and of raw tracepoints: an array of `u64`.
#[derive(Clone, Copy)]
pub struct Words(pub *mut c_void);

/// The context of kprobes and kretprobes: `struct pt_regs`.
#[derive(Clone, Copy)]
pub struct Registers(pub *mut c_void);

/// One `u64` of the context at a constant offset, as one instruction that is not merged with
/// its neighbours.
macro_rules! load {
    ($context:expr, $offset:literal) => {{
        let value: u64;
        unsafe {
            core::arch::asm!(
                concat!("{value} = *(u64 *)({context} + ", $offset, ")"),
                value = out(reg) value,
                context = in(reg) $context,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        value
    }};
}
pub(crate) use load;

impl Context for Words {
    #[inline(always)]
    fn argument(self, position: Position) -> u64 {
        match position.0 {
            0 => load!(self.0, 0),
            1 => load!(self.0, 8),
            2 => load!(self.0, 16),
            3 => load!(self.0, 24),
            4 => load!(self.0, 32),
            5 => load!(self.0, 40),
            6 => load!(self.0, 48),
            7 => load!(self.0, 56),
            8 => load!(self.0, 64),
            _ => 0,
        }
    }

    #[inline(always)]
    fn result(self, count: u8) -> u64 {
        // fexit: the return value stands behind the last argument.
        self.argument(Position(count))
    }

    #[inline(always)]
    fn raw(self) -> *mut c_void {
        self.0
    }
}

impl Context for Registers {
    #[inline(always)]
    fn argument(self, position: Position) -> u64 {
        arch::argument(self.0, position)
    }

    #[inline(always)]
    fn result(self, _count: u8) -> u64 {
        arch::result(self.0)
    }

    #[inline(always)]
    fn raw(self) -> *mut c_void {
        self.0
    }
}
