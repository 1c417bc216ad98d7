//! Settings of the machine that are given back.

use std::{ffi::CString, fs, io, io::Write as _, os::unix::ffi::OsStrExt as _};

use tempfile::NamedTempFile;

const POOL: &str = "/proc/sys/vm/nr_hugepages";

/// More pages in the hugetlb pool, until it is dropped.
pub(crate) struct HugePages {
    before: String,
}

impl HugePages {
    pub(crate) fn add(pages: usize) -> io::Result<Self> {
        let before = fs::read_to_string(POOL)?;
        let there: usize = before.trim().parse().unwrap_or(0);
        fs::write(POOL, (there + pages).to_string())?;
        Ok(Self { before })
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // Nothing can be done about it here.
        let _ = fs::write(POOL, &self.before);
    }
}

/// A swap file, in use until it is dropped.
pub(crate) struct Swap {
    file: NamedTempFile,
}

#[expect(unsafe_code, reason = "there is no safe interface")]
impl Swap {
    pub(crate) fn on(length: usize) -> io::Result<Self> {
        let mut file = NamedTempFile::new_in("/var/tmp")?;
        // `union swap_header` (include/linux/swap.h): version, last page, and at the end of the first
        // page the magic. A swap file has no holes.
        let mut page = [0_u8; 4096];
        let pages = u32::try_from(length / page.len()).unwrap_or(u32::MAX);
        page[1024..1028].copy_from_slice(&1_u32.to_ne_bytes());
        page[1028..1032].copy_from_slice(&(pages - 1).to_ne_bytes());
        page[4086..].copy_from_slice(b"SWAPSPACE2");
        file.write_all(&page)?;
        for _ in 1..pages {
            file.write_all(&[0; 4096])?;
        }
        file.as_file().sync_all()?;
        let swap = Self { file };
        // SAFETY: the path is a string with an end.
        match unsafe { libc::swapon(swap.path()?.as_ptr(), 0) } {
            0 => Ok(swap),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn path(&self) -> io::Result<CString> {
        Ok(CString::new(self.file.path().as_os_str().as_bytes())?)
    }
}

#[expect(unsafe_code, reason = "there is no safe interface")]
impl Drop for Swap {
    fn drop(&mut self) {
        if let Ok(path) = self.path() {
            // SAFETY: the path is a string with an end.
            unsafe { libc::swapoff(path.as_ptr()) };
        }
    }
}
