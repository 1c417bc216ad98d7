//! Opens traces, compressed or not: what they begin with tells.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use anyhow::Context as _;

use super::{
    reader::{ReadError, Reader},
    zst::{Decompress, MAGIC},
};
use crate::output;

/// A trace in a file, or on standard input.
pub type FileReader = Reader<Box<dyn BufRead + Send>>;

/// How much is read from the file at once, in bytes.
const BUFFER: usize = 1 << 16;

/// Opens a trace; `-` stands for standard input.
///
/// # Errors
/// When the file cannot be opened, or is no trace.
pub fn open(path: &Path) -> anyhow::Result<FileReader> {
    let name = output::name(path);
    let file: io::Result<Box<dyn io::Read + Send>> = if path == Path::new("-") {
        Ok(Box::new(io::stdin()))
    } else {
        File::open(path).map(|file| Box::new(file) as _)
    };
    let file = file.with_context(|| format!("cannot open {name}"))?;
    read(file).with_context(|| format!("cannot read {name}"))
}

/// Reads a trace from wherever its bytes come.
///
/// # Errors
/// When it is no trace.
pub fn read(from: impl io::Read + Send + 'static) -> Result<FileReader, ReadError> {
    Reader::new(bytes(from)?)
}

fn bytes(mut file: impl io::Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut begin = Vec::new();
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut begin)?;
    let is_compressed = begin == MAGIC;
    let all = io::Cursor::new(begin).chain(file);
    Ok(if is_compressed {
        Box::new(BufReader::with_capacity(BUFFER, Decompress::new(all)?))
    } else {
        Box::new(BufReader::with_capacity(BUFFER, all))
    })
}
