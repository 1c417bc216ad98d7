//! Writes a trace, line by line.

use std::{
    cell::Cell,
    io::{self, BufWriter, Write},
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{format::LONGEST, summary::Summary, zst::Compress};
use crate::{
    exit::Failure,
    input::{Input, Note},
    output,
    track::reading::Reading,
};

/// Writes the lines of a trace to a file or to standard output.
///
/// Only whole lines are handed to the system, so that a trace that is cut ends after a line, or
/// in the middle of one only when the disk is full.
pub struct Writer {
    out: BufWriter<Box<dyn Write>>,
    target: String,
    events: u64,
    /// The line that is being made.
    line: Vec<u8>,
    /// Bytes of lines, as they are before they are compressed.
    bytes: u64,
    /// Bytes that the system has.
    handed: Rc<Cell<u64>>,
    /// When the system was given something, where that is to be seldom.
    flushed: Option<Instant>,
}

/// Counts what is written.
struct Counted<W> {
    to: W,
    bytes: Rc<Cell<u64>>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.to.write(bytes)?;
        self.bytes.set(self.bytes.get() + length as u64);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// How long lines wait for others, so that together they can be compressed.
const FRAME: Duration = Duration::from_secs(1);

/// Lines are gathered up to this size before they are written.
const BUFFER: usize = 1 << 16;

impl Writer {
    /// Opens the output: a new file that only its owner can read, compressed when its name ends in `.zst`, or standard
    /// output.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Self::new(io::stdout(), false, "standard output".to_owned());
        };
        Self::create(path, Self::compresses(path))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path, compressed: bool) -> Result<Self, Failure> {
        Self::new(output::create(path)?, compressed, output::name(path))
    }

    /// Whether a file of this name is compressed.
    #[must_use]
    pub fn compresses(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "zst")
    }

    fn new(to: impl Write + 'static, compressed: bool, target: String) -> Result<Self, Failure> {
        let handed = Rc::new(Cell::new(0));
        let to = Counted { to, bytes: Rc::clone(&handed) };
        let to: Box<dyn Write> = if compressed {
            match Compress::new(to) {
                Ok(to) => Box::new(to),
                Err(error) => return Err(Failure::Output { target, error }),
            }
        } else {
            Box::new(to)
        };
        Ok(Self {
            out: BufWriter::with_capacity(BUFFER, to),
            target,
            events: 0,
            line: Vec::new(),
            bytes: 0,
            handed,
            flushed: compressed.then(Instant::now),
        })
    }

    /// Writes what a session takes in.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn input(&mut self, input: &Input) -> Result<(), Failure> {
        self.input_within(input, u64::MAX).map(|_| ())
    }

    /// Writes what a session takes in, if the file is not larger than `most` bytes then; false if it would be.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn input_within(&mut self, input: &Input, most: u64) -> Result<bool, Failure> {
        self.line.clear();
        let encoded = encode(input, &mut self.line);
        encoded.map_err(|error| self.failure(error.into()))?;
        if self.size() + self.line.len() as u64 >= most {
            return Ok(false);
        }
        self.events += u64::from(matches!(input, Input::Event(_)));
        self.put().map_err(|error| self.failure(error))?;
        Ok(true)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        self.line.clear();
        let encoded = serde_json::to_writer(&mut self.line, line).map_err(io::Error::from);
        encoded.and_then(|()| self.put()).map_err(|error| self.failure(error))
    }

    /// Writes the line that was made; none, when there is nothing.
    fn put(&mut self) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        self.line.push(b'\n');
        if self.out.buffer().len() + self.line.len() > BUFFER {
            self.out.flush()?;
        }
        self.out.write_all(&self.line)?;
        self.bytes += self.line.len() as u64;
        // After a long reading there may be millions of short lines.
        if self.line.capacity() > 1 << 20 {
            self.line = Vec::new();
        }
        Ok(())
    }

    /// Bytes of the file, as far as the system has them, and bytes that wait, as they are before they are compressed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.handed.get() + self.out.buffer().len() as u64
    }

    /// Hands everything to the system, if some time has gone by: a frame of a few lines is hardly smaller than they are.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush_in_time(&mut self) -> Result<(), Failure> {
        match &mut self.flushed {
            Some(last) if last.elapsed() < FRAME => return Ok(()),
            Some(last) => *last = Instant::now(),
            None => {}
        }
        self.flush()
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| self.failure(error))
    }

    /// Bytes of all lines, as they are before they are compressed.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many events were written.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The line that an input is, its end included, as it is written.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn text(input: &Input) -> serde_json::Result<String> {
        let mut line = Vec::new();
        encode(input, &mut line)?;
        let mut text = String::from_utf8_lossy(&line).into_owned();
        if !text.is_empty() {
            text.push('\n');
        }
        Ok(text)
    }

    fn failure(&self, error: io::Error) -> Failure {
        Failure::Output { target: self.target.clone(), error }
    }
}

/// An input as JSON; nothing for what a trace does not have: the totals of all processes.
fn encode(input: &Input, line: &mut Vec<u8>) -> serde_json::Result<()> {
    match input {
        Input::Event(event) => serde_json::to_writer(line, event),
        Input::Reading(reading) => {
            serde_json::to_writer(&mut *line, reading)?;
            bound(line, reading)
        }
        Input::Note(note) => serde_json::to_writer(line, note),
        Input::Sample(sample) => serde_json::to_writer(line, &Summary::from(&**sample)),
        Input::Census(_) | Input::Walkers(_) | Input::Replay(_) => Ok(()),
    }
}

/// A reading that is longer than a line may be is told not to be there.
fn bound(line: &mut Vec<u8>, reading: &Reading) -> serde_json::Result<()> {
    if line.len() < LONGEST {
        return Ok(());
    }
    let (pid, runs) = (reading.pid, reading.runs.len());
    let why = format!("its {runs} runs are more than a line of a trace can have");
    line.clear();
    serde_json::to_writer(line, &Note::Unread { time: reading.time, pid, why })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Writer;
    use crate::{model::fixture::vma, trace::open::open, track::fixture};

    #[test]
    fn the_name_says_whether_it_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let old = format!("{}/tests/traces/v2.jsonl", env!("CARGO_MANIFEST_DIR"));
        let header = open(Path::new(&old)).unwrap().header().clone();
        for (name, begins) in
            [("t.jsonl", &b"{\"ki"[..]), ("t.jsonl.zst", &[0x28, 0xb5, 0x2f, 0xfd])]
        {
            let path = folder.path().join(name);
            let mut writer = Writer::open(Some(&path)).unwrap();
            writer.line(&header).unwrap();
            let first = fixture::start(5, vma(0..8192), vec![]).into();
            writer.input(&first).unwrap();
            writer.flush().unwrap();
            // More than a buffer.
            for time in 0..2000 {
                writer.input(&fixture::split(time, 0).into()).unwrap();
            }
            writer.flush().unwrap();
            assert_eq!(writer.events(), 2000);
            assert!(std::fs::read(&path).unwrap().starts_with(begins));
            let mut reader = open(&path).unwrap();
            assert_eq!(reader.header(), &header);
            assert_eq!(reader.next_input().unwrap(), Some(first));
            for time in 0..2000 {
                assert_eq!(reader.next_input().unwrap(), Some(fixture::split(time, 0).into()));
            }
            assert_eq!(reader.next_input().unwrap(), None);
        }
    }
}
