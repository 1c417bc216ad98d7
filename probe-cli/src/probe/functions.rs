//! The functions that programs are attached to, as aya wants them.
//!
//! aya looks for a function's number in BTF, from the first type on, and parses all types for that: at each start some 70 MB and, with
//! many functions, half of the time. The numbers are known already, so it gets BTF that has these functions only.

use std::collections::BTreeMap;

use aya::{Btf, BtfError, Endianness};

use crate::kernel::{btf::kind, facts::Facts};

/// The kernel's functions that were looked for, with their numbers.
///
/// # Errors
/// When the kernel has no BTF.
pub(super) fn functions(facts: &Facts) -> Result<Btf, BtfError> {
    if facts.numbers.is_empty() {
        return Btf::from_sys_fs();
    }
    Btf::parse(&bytes(&facts.numbers), Endianness::default())
}

/// BTF (`Documentation/bpf/btf.rst`) in which these functions have these numbers, and all other types are declarations without a
/// name.
fn bytes(numbers: &BTreeMap<String, u32>) -> Vec<u8> {
    const HEADER: u32 = 24;
    let names: BTreeMap<u32, &String> = numbers.iter().map(|(name, id)| (*id, name)).collect();
    let last = names.last_key_value().map_or(0, |(&id, _)| id);
    let mut types: Vec<u32> = Vec::new();
    let mut strings = vec![0];
    for id in 1..=last {
        match names.get(&id) {
            Some(name) => {
                let at = u32::try_from(strings.len()).unwrap_or(0);
                types.extend([at, kind::FUNC << 24, 0]);
                strings.extend(name.as_bytes());
                strings.push(0);
            }
            None => types.extend([0, kind::FWD << 24, 0]),
        }
    }
    let size = |length: usize| u32::try_from(length).unwrap_or(0);
    let types_size = size(4 * types.len());
    // The magic number and the version, then where the sections are.
    let header = [0x0001_eb9f, HEADER, 0, types_size, types_size, size(strings.len())];
    let words = header.iter().chain(&types).flat_map(|word| word.to_ne_bytes());
    words.chain(strings).collect()
}

#[cfg(test)]
mod tests {
    use super::functions;
    use crate::kernel::facts::Facts;

    #[test]
    fn functions_have_their_numbers() {
        let numbers = [("zap", 7), ("fault", 90_001)].map(|(name, id)| (name.to_owned(), id));
        let facts = Facts { numbers: numbers.into(), ..Facts::default() };
        let btf = functions(&facts).unwrap();
        let number = |name| btf.id_by_type_name_kind(name, aya_obj::btf::BtfKind::Func).ok();
        assert_eq!((number("zap"), number("fault"), number("")), (Some(7), Some(90_001), None));
    }
}
