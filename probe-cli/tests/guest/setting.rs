//! Settings of the machine, put back when dropped: for guests only.

use std::{fs, io};

/// A file with a setting, and what stood in it.
pub(crate) struct Setting {
    file: String,
    before: String,
}

impl Setting {
    /// Writes a setting.
    pub(crate) fn change(file: &str, value: &str) -> io::Result<Self> {
        let before = fs::read_to_string(file)?;
        fs::write(file, value)?;
        // `always [madvise] never`: the word in brackets, else all of it.
        let before = before.split(['[', ']']).nth(1).unwrap_or(before.trim()).to_owned();
        Ok(Self { file: file.to_owned(), before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // A setting that cannot be put back ends with the guest.
        let _ = fs::write(&self.file, &self.before);
    }
}
