//! The eBPF object inside of this binary.

use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use probe_common::config::Config;

use crate::kernel::facts::Cast;

/// What `cargo xtask build-ebpf` built, from the sources that this binary was built with.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/walkprobe.bpf.o"));

/// Sizes of the maps, and how much the programs say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of the ring buffer: a power of two and a multiple of the page size.
    pub(super) ring: u32,
    /// Thread groups that can be asked for.
    pub(super) targets: u32,
    /// Operations that can be under way at once.
    pub(super) operations: u32,
    /// Pairs of process and probe with statistics.
    pub(super) processes: u32,
}

/// The least that the kernel accepts.
const PAGE: u32 = 4096;

impl Sizes {
    /// For programs that only show whether they load.
    pub(super) const SMALLEST: Self = Self { ring: PAGE, targets: 1, operations: 1, processes: 1 };
}

/// What stands in the object for the call of `bpf_rdonly_cast`: `call` with this number, as the
/// kernel side's `scan/direct.rs` writes it.
const CAST: u32 = 1_464_947_779;

/// The object with the kernel's own number of `bpf_rdonly_cast`, for aya knows no calls of kernel functions.
///
/// An instruction has its code, its registers, an offset of 16 bits and a number of 32; in the source register of
/// a call stands what the number is of (include/uapi/linux/bpf.h: `BPF_PSEUDO_KFUNC_CALL`).
fn with_cast(function: u32) -> Vec<u8> {
    const CALL: u8 = 0x85;
    const KERNEL_FUNCTION: u8 = 2 << 4;
    let instruction = |registers: u8, number: u32| {
        let mut bytes = [CALL, registers, 0, 0, 0, 0, 0, 0];
        bytes[4..].copy_from_slice(&number.to_le_bytes());
        bytes
    };
    let (stand_in, call) = (instruction(0, CAST), instruction(KERNEL_FUNCTION, function));
    let mut object = OBJECT.to_vec();
    for bytes in object.as_chunks_mut::<8>().0.iter_mut().filter(|bytes| **bytes == stand_in) {
        *bytes = call;
    }
    object
}

/// Creates the maps. Programs are loaded one by one afterwards.
///
/// `log_level` is what the programs report through aya-log: 0 nothing, 5 everything. With `cast` the scan
/// reads page structs by plain loads.
pub(super) fn load(
    config: &Config,
    sizes: Sizes,
    log_level: u8,
    cast: Option<Cast>,
) -> Result<Ebpf, EbpfError> {
    let with_cast = cast.map(|cast| with_cast(cast.function));
    EbpfLoader::new()
        .btf(None)
        .verifier_log_level(VerifierLogLevel::DEBUG)
        .override_global("CONFIG", config, true)
        .override_global("AYA_LOG_LEVEL", &log_level, true)
        .override_global("WORDS_TYPE", &cast.map_or(0, |cast| cast.words), true)
        .map_max_entries("EVENTS", sizes.ring)
        .map_max_entries("TARGETS", sizes.targets)
        .map_max_entries("OPERATIONS", sizes.operations)
        .map_max_entries("PROCESSES", sizes.processes)
        .map_max_entries("AYA_LOGS", if log_level == 0 { PAGE } else { 1 << 17 })
        .load(with_cast.as_deref().unwrap_or(OBJECT))
}
