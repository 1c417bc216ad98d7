//! The eBPF object inside of this binary.

use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use probe_common::{
    config::{Config, SLOTS},
    site::Sites,
};

use super::instructions::Instructions;

/// What `cargo xtask build-ebpf` built, from the sources that this binary was built with.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/walkprobe.bpf.o"));

/// Sizes of the maps, and how much the programs say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of the ring buffer: a power of two and a multiple of the page size.
    pub(super) ring: u32,
    /// Thread groups that can be asked for.
    pub(super) targets: u32,
    /// Operations that can be under way at once: each has one slot that it may use.
    pub(super) slots: u32,
    /// Those that find their slot taken.
    pub(super) operations: u32,
    /// Pairs of process and probe with statistics.
    pub(super) processes: u32,
    /// Rows of sums of walkers.
    pub(super) sums: u32,
    /// Who walks whom.
    pub(super) parties: u32,
}

/// The least that the kernel accepts.
const PAGE: u32 = 4096;

impl Sizes {
    /// For programs that only show whether they load.
    pub(super) const SMALLEST: Self =
        Self { ring: PAGE, targets: 1, slots: 1, operations: 1, processes: 1, sums: 1, parties: 1 };
}

/// Creates the maps. Programs are loaded one by one afterwards.
///
/// `log_level` is what the programs report through aya-log: 0 nothing, 5 everything.
pub(super) fn load(
    config: &Config,
    walkers: &Sites,
    sizes: Sizes,
    log_level: u8,
    instructions: Instructions,
) -> Result<Ebpf, EbpfError> {
    let changed = instructions.put_into(OBJECT);
    let words = instructions.cast.map_or(0, |cast| cast.words);
    EbpfLoader::new()
        .btf(None)
        .verifier_log_level(VerifierLogLevel::DEBUG)
        .override_global("CONFIG", config, true)
        .override_global("WALK_SITES", walkers, true)
        .override_global("AYA_LOG_LEVEL", &log_level, true)
        .override_global("WORDS_TYPE", &words, true)
        .map_max_entries("EVENTS", sizes.ring)
        .map_max_entries("TARGETS", sizes.targets)
        .map_max_entries("SLOTS", sizes.slots.min(SLOTS))
        .map_max_entries("OPERATIONS", sizes.operations)
        .map_max_entries("PROCESSES", sizes.processes)
        .map_max_entries("WALK_SUMS", sizes.sums)
        .map_max_entries("WALK_PARTIES", sizes.parties)
        .map_max_entries("AYA_LOGS", if log_level == 0 { PAGE } else { 1 << 17 })
        .load(changed.as_deref().unwrap_or(OBJECT))
}
