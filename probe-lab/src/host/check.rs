//! Whether files are what a guest can be made of.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, ReadCache, elf};

use crate::host::error::Error;

/// Where the setup header of a bzImage has its signature (Documentation/arch/x86/boot.rst).
const SIGNATURE_AT: u64 = 0x202;
const SIGNATURE: &[u8; 4] = b"HdrS";

/// Looks for the signature of a bzImage: what QEMU says of other files, or does with them, helps nobody.
pub(crate) fn check_kernel(kernel: &Path) -> Result<(), Error> {
    let file = File::open(kernel).map_err(Error::file("read", kernel))?;
    let mut found = [0; SIGNATURE.len()];
    match file.read_exact_at(&mut found, SIGNATURE_AT) {
        Ok(()) if found == *SIGNATURE => Ok(()),
        _ => Err(Error::NoImage(kernel.to_owned())),
    }
}

/// Checks that a program wants no other file to run: a guest has no libraries.
///
/// # Errors
///
/// [`Error::NotStatic`] where it does, or is no program.
pub fn check_static(program: &Path) -> Result<(), Error> {
    let file = File::open(program).map_err(Error::file("read", program))?;
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(|_| Error::NotStatic)?;
    let wants_loader = elf
        .elf_program_headers()
        .iter()
        .any(|header| header.p_type(elf.endian()) == elf::PT_INTERP);
    if wants_loader { Err(Error::NotStatic) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_no_kernels() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = check_kernel(file.path()).unwrap_err();
        assert!(error.to_string().contains("is no bzImage"), "{error}");
        let mut image = vec![0; 0x202];
        image.extend(SIGNATURE);
        std::fs::write(file.path(), image).expect("is written");
        assert!(check_kernel(file.path()).is_ok());
    }

    #[test]
    fn this_test_wants_libraries() {
        // cargo builds tests as the target is by default, which is not static.
        let is_static = cfg!(target_feature = "crt-static");
        assert_eq!(check_static(Path::new("/proc/self/exe")).is_ok(), is_static);
        assert!(check_static(Path::new("/etc/passwd")).is_err());
    }
}
