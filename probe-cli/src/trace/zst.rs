//! Compressed traces: Zstandard frames, one after another, each of whole lines.
//!
//! A frame ends whenever lines are handed to the system, so that a trace that is cut loses the last frame only.

use std::io::{self, BufReader, Read, Write};

use zstd::{bulk::Compressor, stream::read::Decoder};

/// What a compressed file begins with (RFC 8878, 3.1.1).
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The largest window that is decompressed, as a power of two of bytes: what `zstd` wants up to level 19.
const WINDOW_LOG: u32 = 23;

/// The fastest level that is not a negative one: writing must keep up with the kernel.
const LEVEL: i32 = 1;

/// How many times as large as the file a trace can be. One of a process that sleeps, compressed by `zstd -19`, comes to
/// some hundreds.
const RATIO: u64 = 2000;

/// Below this size nobody asks about the ratio.
const SMALL: u64 = 64 << 20;

/// Reads frame after frame. The end may be in the middle of one.
pub(super) struct Decompress<R: Read> {
    decoder: Decoder<'static, BufReader<Source<R>>>,
    given: u64,
    has_ended: bool,
}

/// Counts what is read.
struct Source<R> {
    from: R,
    bytes: u64,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.bytes += length as u64;
        Ok(length)
    }
}

impl<R: Read> Decompress<R> {
    pub(super) fn new(from: R) -> io::Result<Self> {
        let mut decoder = Decoder::new(Source { from, bytes: 0 })?;
        decoder.window_log_max(WINDOW_LOG)?;
        Ok(Self { decoder, given: 0, has_ended: false })
    }
}

impl<R: Read> Read for Decompress<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_ended {
            return Ok(0);
        }
        let length = match self.decoder.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.has_ended = true;
                0
            }
            // What the file system says has a number; what the library says has none.
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(error) => {
                let why = format!("its compressed data is damaged: {error}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        };
        self.given += length as u64;
        if self.given > SMALL && self.given / RATIO > self.decoder.get_ref().get_ref().bytes {
            let why = format!("it is more than {RATIO} times as large as the file: it is no trace");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(length)
    }
}

/// Writes each piece as a frame.
pub struct Compress<W> {
    to: W,
    compressor: Compressor<'static>,
}

impl<W: Write> Compress<W> {
    /// Compresses what it is given.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(to: W) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self { to, compressor })
    }
}

impl<W: Write> Write for Compress<W> {
    /// A frame of all of it: give it much at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(&self.compressor.compress(bytes)?)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::{Compress, Decompress};

    fn compressed(pieces: &[&[u8]]) -> Vec<u8> {
        let mut compress = Compress::new(Vec::new()).unwrap();
        for piece in pieces {
            compress.write_all(piece).unwrap();
        }
        compress.to
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        let read = Decompress::new(bytes).unwrap().read_to_end(&mut all);
        read.map(|_| all).map_err(|error| error.to_string())
    }

    #[test]
    fn frames_follow_each_other_and_the_last_may_be_cut() {
        let (one, two) = (b"one line\n".repeat(5000), b"another\n".repeat(30_000));
        let bytes = compressed(&[&one, &two]);
        assert!(bytes.len() < 10_000, "{}", bytes.len());
        let all = [&one[..], &two].concat();
        assert!(read(&bytes).unwrap() == all);
        let first = compressed(&[&one]).len();
        for cut in first..bytes.len() - 4 {
            let some = read(&bytes[..cut]).unwrap();
            assert!(some.len() >= one.len() && all.starts_with(&some), "{cut}");
        }
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = compressed(&[&b"a line and a line\n".repeat(1000)]);
        let mut wrong = 0;
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x55;
            wrong += usize::from(read(&damaged).is_err());
        }
        // Some bits are not used, and some damage looks like a cut.
        assert!(wrong * 2 > bytes.len(), "{wrong} of {}", bytes.len());
        assert!(read(&[&bytes[..], b"rubbish that is no frame"].concat()).is_err());
    }

    /// A frame of blocks that repeat a byte 128 Ki times each, in four bytes.
    fn bomb(blocks: usize) -> Vec<u8> {
        let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
        for _ in 0..blocks {
            bytes.extend([0x02, 0x00, 0x10, b'\n']);
        }
        bytes
    }

    #[test]
    fn a_bomb_is_an_error_and_takes_no_memory() {
        let bomb = bomb(100_000);
        let mut decompress = Decompress::new(&bomb[..]).unwrap();
        let error = std::io::copy(&mut decompress, &mut std::io::sink());
        assert!(error.unwrap_err().to_string().contains("2000 times"));
        // A window of 2 GiB.
        let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x02, 0x00, 0x10, b'a'];
        assert!(read(&wide).unwrap_err().contains("damaged"));
    }
}
