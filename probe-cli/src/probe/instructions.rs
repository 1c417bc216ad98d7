//! Instructions of the object that only some kernels have, and what stands in their place elsewhere.
//!
//! An instruction has its code, its registers, an offset of 16 bits and a number of 32 (include/uapi/linux/bpf.h).

use crate::kernel::facts::{Cast, Facts};

type Instruction = [u8; 8];

/// What stands in the object for the call of `bpf_rdonly_cast`: `call` with this number, as the
/// kernel side's `direct.rs` writes it. aya knows no calls of kernel functions.
const CAST: Instruction = instruction(0x85, 0, 1_464_947_779);

/// The register that holds the address, and the one that holds the new value, of an exchange in the kernel side's
/// `slots.rs`: `BPF_STX | BPF_ATOMIC | BPF_DW` with `BPF_CMPXCHG`.
const EXCHANGE: Instruction = instruction(0xdb, 2 << 4 | 1, 0xf1);

/// `r0 = -1`: what an exchange gives when another one has the slot.
const TAKEN: Instruction = instruction(0xb7, 0, u32::MAX);

/// Which of them are used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Instructions {
    /// Plain loads of kernel memory.
    pub(super) cast: Option<Cast>,
    /// Atomic exchanges (Linux 5.12).
    pub(super) exchange: bool,
}

impl Instructions {
    /// All that are worth trying on a kernel.
    pub(super) const fn worth_trying(facts: &Facts) -> Self {
        Self { cast: facts.cast, exchange: true }
    }

    /// Those that the kernel takes, as trying has found out.
    pub(super) fn that_work(facts: &Facts) -> Self {
        Self {
            cast: facts.cast.filter(|_| facts.mechanisms.cast.works()),
            exchange: facts.mechanisms.exchange.works(),
        }
    }

    /// The object with what the kernel understands; `None` when it can be taken as it is.
    pub(super) fn put_into(self, object: &[u8]) -> Option<Vec<u8>> {
        let call = self.cast.map(|cast| {
            // In the source register stands what the number is of: `BPF_PSEUDO_KFUNC_CALL`.
            (CAST, instruction(0x85, 2 << 4, cast.function))
        });
        let taken = (!self.exchange).then_some((EXCHANGE, TAKEN));
        let changes: Vec<_> = call.into_iter().chain(taken).collect();
        if changes.is_empty() {
            return None;
        }
        let mut object = object.to_vec();
        for bytes in object.as_chunks_mut::<8>().0 {
            if let Some((_, new)) = changes.iter().find(|(old, _)| old == bytes) {
                *bytes = *new;
            }
        }
        Some(object)
    }
}

const fn instruction(code: u8, registers: u8, number: u32) -> Instruction {
    let [a, b, c, d] = number.to_le_bytes();
    [code, registers, 0, 0, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::{CAST, EXCHANGE, Instructions, TAKEN};
    use crate::kernel::facts::Cast;

    #[test]
    fn the_object_has_what_the_kernel_understands() {
        let object = [CAST, EXCHANGE].concat();
        let cast = Some(Cast { function: 7, words: 9 });
        let put = |cast, exchange| Instructions { cast, exchange }.put_into(&object);
        assert_eq!(put(None, true), None);
        assert_eq!(put(None, false), Some([CAST, TAKEN].concat()));
        let call = [0x85, 0x20, 0, 0, 7, 0, 0, 0];
        assert_eq!(put(cast, true), Some([call, EXCHANGE].concat()));
    }
}
