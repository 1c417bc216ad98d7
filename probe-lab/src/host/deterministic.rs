//! Machines that do the same again, instruction by instruction (docs/lab.md).
//!
//! What the guest does follows from its memory, its devices and its clock. The first is what the initramfs and the kernel's command
//! line make of it, which have nothing in them but what the caller asked for. The rest is here.

use crate::host::accel::Accelerator;
use crate::machine::Machine;

impl Machine {
    /// Makes it the same on every machine: one emulated CPU, and nothing of this environment. See [`Machine::deterministic`].
    pub fn make_deterministic(&mut self) {
        self.deterministic = true;
        self.accelerator = Accelerator::Tcg;
        self.cpus = 1;
        self.environment.retain(|(name, _)| name != TERMINAL);
    }
}

/// The variable that this environment gives to a guest.
const TERMINAL: &str = "TERM";

/// QEMU's options in the place of accelerator, CPU and number of CPUs.
pub(crate) const OPTIONS: [&str; 12] = [
    "-accel",
    "tcg,thread=single",
    // The guest's clocks go on by one nanosecond with each instruction, and jump to the next timer when there is nothing to do.
    "-icount",
    "shift=0,sleep=off",
    "-rtc",
    "base=2026-01-01,clock=vm",
    // `rdrand`, and what QEMU itself gives the kernel to begin with.
    "-seed",
    "1",
    "-cpu",
    CPU,
    "-smp",
    "1",
];

/// A processor that is the same with every version of QEMU, or refused (`enforce`): `max` has whatever that version can emulate. These
/// are features that emulation has had for long.
const CPU: &str = "qemu64-v1,enforce,+pdpe1gb,+rdtscp,+ssse3,+sse4.1,+sse4.2,+popcnt,+movbe,+abm,\
                   +bmi1,+bmi2,+adx,+aes,+pclmulqdq,+xsave,+xsaveopt,+fsgsbase,+smep,+smap,+rdrand,+arat";

/// More words for the kernel's command line: addresses that are not chosen at random, and the frequency of the time-stamp counter, which
/// the kernel would measure, first too high by 63 parts in a million.
pub(crate) const KERNEL: &str =
    "nokaslr norandmaps randomize_kstack_offset=off tsc_early_khz=1000000";

/// More for the device that carries the channel: what the guest sends is taken by the thread that executes the guest, within the
/// instruction that says so, instead of by another one, some time later.
pub(crate) const CHANNEL: &str = ",ioeventfd=off";
