//! Lines of bounded length.

use std::io::{BufRead, Read as _};

use super::{format::LONGEST, reader::ReadError};

/// Reads line after line into one buffer.
pub(super) struct Lines<R> {
    from: R,
    number: u64,
    text: Vec<u8>,
    bytes: u64,
    is_cut: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, number: 0, text: Vec::new(), bytes: 0, is_cut: false }
    }

    /// The next line, its end included; `None` at the end, and for a last line that was cut.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ReadError> {
        // After a long reading there may be millions of short lines.
        if self.text.capacity() > 1 << 20 {
            self.text = Vec::new();
        }
        self.text.clear();
        self.number += 1;
        let limit = LONGEST as u64;
        let length = (&mut self.from).take(limit).read_until(b'\n', &mut self.text)?;
        self.bytes += length as u64;
        if self.text.last() == Some(&b'\n') {
            return Ok(Some(&self.text));
        }
        if length as u64 == limit {
            return Err(ReadError::Long { line: self.number });
        }
        self.is_cut = length > 0;
        Ok(None)
    }

    /// The number of the last line; counts from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read until now.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the end was in the middle of a line.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }
}
