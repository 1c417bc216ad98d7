//! What the kernel side counts.

use crate::{plain, record::COMM_LEN};

/// What became of the operations that one probe saw.
///
/// `seen` is counted on its own, so that
/// `seen == filtered + ignored + counted + emitted + lost_ring + lost_state` is a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    /// Operations that came to an end (filtered ones: that began).
    pub seen: u64,
    /// Not of a process that was asked for.
    pub filtered: u64,
    /// The function was entered but had nothing to do (a split with nothing to split).
    pub ignored: u64,
    /// Added to the statistics of a process, and by choice not sent as a record.
    pub counted: u64,
    /// Sent as a record.
    pub emitted: u64,
    /// Records for which the ring buffer had no room.
    pub lost_ring: u64,
    /// Operations whose beginning could not be remembered (too many at once).
    pub lost_state: u64,
    /// Time spent in those that were counted, emitted or lost at the ring buffer, in ns; only where
    /// there is a single target.
    pub ns: u64,
}

impl Counters {
    /// Operations that ended, and were wanted.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.counted + self.emitted + self.lost_ring
    }
}

/// Key of the statistics by process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ProcessKey {
    /// Thread group whose address space is concerned; 0 when the kernel does not tell.
    pub tgid: u32,
    /// [`Probe`](crate::probe::Probe) number.
    pub probe: u32,
}

/// Statistics of one probe for one process, on one CPU.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ProcessStat {
    /// Operations.
    pub calls: u64,
    /// Time spent in them, in ns.
    pub ns: u64,
    /// `comm` of the process, when it was itself the actor; else all zero.
    pub comm: [u8; COMM_LEN],
}

plain!(Counters: 64, ProcessKey: 8, ProcessStat: 32);
