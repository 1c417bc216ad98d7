//! A compressed trace: what is decompressed, and what is made of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use walkprobe::trace::open;

/// The magic number of a Zstandard frame.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fuzz_target!(|data: &[u8]| {
    let bytes = if data.starts_with(&MAGIC) { data.to_vec() } else { [&MAGIC, data].concat() };
    if let Ok(mut reader) = open::read(std::io::Cursor::new(bytes)) {
        while let Ok(Some(_)) = reader.next_input() {}
    }
});
