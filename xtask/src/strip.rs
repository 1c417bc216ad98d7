//! The eBPF object without what only debuggers read: walkprobe reads the object at each start, several times, and the kernel
//! checks what it is given of it.

use anyhow::{Context as _, Result};
use object::build::elf::{Builder, SectionData};
use object::elf;

/// Sections that are left out: DWARF, which has become BTF, and relocations of BTF, which no loader applies.
fn is_left_out(name: &[u8]) -> bool {
    let of = name.strip_prefix(b".rel").unwrap_or(name);
    of.starts_with(b".debug_") || (of.len() < name.len() && of.starts_with(b".BTF"))
}

/// Leaves those sections out, and the lines of the source out of BTF.
///
/// # Errors
/// When it is no ELF object.
pub(crate) fn strip(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object).context("the eBPF object is no ELF object")?;
    for section in &mut builder.sections {
        section.delete = is_left_out(&section.name);
        if section.name.as_slice() == b".BTF.ext"
            && let SectionData::Data(data) = &mut section.data
        {
            *data = without_lines(data).context("the eBPF object has damaged BTF")?.into();
        }
    }
    builder.delete_orphans();
    // The linker keeps the names of sections among those of symbols; they are written apart.
    let names = builder.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = elf::SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("the eBPF object cannot be written again")?;
    Ok(stripped)
}

/// `.BTF.ext` (`Documentation/bpf/btf.rst`) whose part about lines, the last one, is empty.
fn without_lines(btf: &[u8]) -> Option<Vec<u8>> {
    // Magic number, version and flags; the length of the header; offset and length of the parts about functions, lines,
    // and, in a longer header, relocations by types, of which there are none.
    let word = |at: usize| Some(u32::from_le_bytes(*btf.get(at..)?.first_chunk()?));
    let (header, lines) = (word(4)?, word(16)?);
    let is_last = header < 32 || word(28)? == 0;
    if !is_last {
        return None;
    }
    let mut rest = btf.get(..usize::try_from(header.checked_add(lines)?).ok()?)?.to_vec();
    rest.get_mut(20..24)?.fill(0);
    if header >= 32 {
        // An empty part must not begin behind the end.
        rest.get_mut(24..28)?.copy_from_slice(&lines.to_le_bytes());
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::{is_left_out, without_lines};

    #[test]
    fn functions_stay_and_lines_go() {
        let words = [0x0001_eb9f_u32, 32, 0, 4, 4, 8, 12, 0, 7, 8, 9];
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let btf: Vec<u8> = bytes(&words);
        let rest = bytes(&[0x0001_eb9f, 32, 0, 4, 4, 0, 4, 0, 7]);
        assert_eq!(without_lines(&btf), Some(rest));
        assert_eq!(without_lines(&btf[..20]), None);
    }

    #[test]
    fn what_loaders_read_stays() {
        for name in [".debug_info", ".rel.debug_info", ".rel.BTF", ".rel.BTF.ext"] {
            assert!(is_left_out(name.as_bytes()), "{name}");
        }
        for name in ["fentry", ".relfentry", ".text", ".BTF", ".BTF.ext", "maps", ".rodata"] {
            assert!(!is_left_out(name.as_bytes()), "{name}");
        }
    }
}
