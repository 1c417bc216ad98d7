//! Reads a trace, line by line.

use std::{
    borrow::Cow,
    io::{self, BufRead, Read as _},
};

use serde::Deserialize;
use thiserror::Error;

use super::format::{FORMAT, Note};
use crate::{event::Event, input::Input, track::reading::Reading};

/// Why a trace cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file, or the pipe, failed.
    #[error("the trace cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not what it says.
    #[error("line {line} of the trace is damaged: {error}; what comes before it can be read")]
    Line {
        /// Counts from 1.
        line: u64,
        /// Why.
        error: serde_json::Error,
    },
    /// A line is longer than any that is written.
    #[error("line {line} of the trace is longer than {LONGEST} bytes: it is no trace")]
    Long {
        /// Counts from 1.
        line: u64,
    },
    /// The file does not begin with a header.
    #[error("it is no trace: the first line is no header")]
    NoHeader,
    /// A later version of this tool wrote it.
    #[error(
        "the trace has format {0}, and this version reads up to {FORMAT}: use a later walkprobe"
    )]
    Later(u32),
}

/// The longest line: a reading of a very large and fragmented process.
const LONGEST: u64 = 1 << 30;

/// What begins every line that is no event.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    format: Option<u32>,
    clock: Option<Clock>,
}

#[derive(Deserialize)]
struct Clock {
    start: u64,
}

/// Reads the inputs of a session from a trace.
pub struct Reader<R> {
    lines: R,
    line: u64,
    text: Vec<u8>,
    start: u64,
    has_footer: bool,
    unknown: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is no trace, or one of a later format.
    pub fn new(lines: R) -> Result<Self, ReadError> {
        let mut reader =
            Self { lines, line: 0, text: Vec::new(), start: 0, has_footer: false, unknown: 0 };
        if !reader.fill()? {
            return Err(ReadError::NoHeader);
        }
        let head: Head<'_> =
            serde_json::from_slice(&reader.text).map_err(|_| ReadError::NoHeader)?;
        match head.format {
            Some(format) if head.kind == "header" && format <= FORMAT => {}
            Some(format) if head.kind == "header" => return Err(ReadError::Later(format)),
            _ => return Err(ReadError::NoHeader),
        }
        let start = head.clock.map_or(0, |clock| clock.start);
        reader.start = start;
        Ok(reader)
    }

    /// When the trace began, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Whether the footer has been read: without it the trace was cut.
    #[must_use]
    pub const fn has_footer(&self) -> bool {
        self.has_footer
    }

    /// Lines of a kind that this version does not know.
    #[must_use]
    pub const fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The next input; `None` at the end.
    ///
    /// # Errors
    /// When a line is damaged. A last line without an end is that of a trace that was cut, and no error.
    pub fn next_input(&mut self) -> Result<Option<Input>, ReadError> {
        while self.fill()? {
            let line = self.line;
            let damaged = |error| ReadError::Line { line, error };
            let head: Head<'_> = serde_json::from_slice(&self.text).map_err(damaged)?;
            let input = match head.kind.as_ref() {
                "header" => continue,
                "footer" => {
                    self.has_footer = true;
                    continue;
                }
                "reading" => {
                    let reading: Reading = serde_json::from_slice(&self.text).map_err(damaged)?;
                    reading.into()
                }
                "lost" | "gone" => match serde_json::from_slice(&self.text).map_err(damaged)? {
                    Note::Lost { time, number } => Input::Lost { time, number },
                    Note::Gone { time, pid } => Input::Gone { time, pid },
                },
                _ => {
                    let Ok(event) = serde_json::from_slice::<Event>(&self.text) else {
                        self.unknown += 1;
                        continue;
                    };
                    event.into()
                }
            };
            return Ok(Some(input));
        }
        Ok(None)
    }

    /// Reads a line; false at the end, and for a last line that was cut.
    fn fill(&mut self) -> Result<bool, ReadError> {
        self.text.clear();
        self.line += 1;
        let length = (&mut self.lines).take(LONGEST).read_until(b'\n', &mut self.text)?;
        if length as u64 == LONGEST {
            return Err(ReadError::Long { line: self.line });
        }
        Ok(self.text.last() == Some(&b'\n'))
    }
}

#[cfg(test)]
mod tests {
    use super::{ReadError, Reader};
    use crate::{input::Input, model::fixture::vma, trace::writer::Writer, track::fixture};

    fn read(text: &str) -> Result<Vec<Input>, ReadError> {
        let mut reader = Reader::new(text.as_bytes())?;
        let mut inputs = Vec::new();
        while let Some(input) = reader.next_input()? {
            inputs.push(input);
        }
        Ok(inputs)
    }

    const HEADER: &str = "{\"kind\":\"header\",\"format\":1}\n";

    #[test]
    fn what_was_written_is_read() {
        let inputs = [
            Input::from(fixture::start(5, vma(0..8192), vec![])),
            fixture::split(10, 0).into(),
            Input::Lost { time: 20, number: 3 },
            Input::Gone { time: 30, pid: 7 },
        ];
        let mut text = HEADER.to_owned();
        for input in &inputs {
            text.push_str(&Writer::text(input).unwrap());
        }
        assert_eq!(read(&text).unwrap(), inputs);
        // Cut anywhere, what is whole is read.
        assert_eq!(read(&text[..text.len() - 3]).unwrap(), inputs[..3]);
    }

    #[test]
    fn what_is_no_trace_is_refused_and_what_is_unknown_is_counted() {
        assert!(matches!(read(""), Err(ReadError::NoHeader)));
        assert!(matches!(read("{\"kind\":\"fault\"}\n"), Err(ReadError::NoHeader)));
        assert!(matches!(read("{\"kind\":\"header\",\"format\":2}\n"), Err(ReadError::Later(2))));
        assert!(matches!(read(&format!("{HEADER}x\n")), Err(ReadError::Line { line: 2, .. })));
        let text = format!("{HEADER}{{\"kind\":\"later\"}}\n");
        let mut reader = Reader::new(text.as_bytes()).unwrap();
        assert!(reader.next_input().unwrap().is_none());
        assert_eq!((reader.unknown(), reader.has_footer()), (1, false));
    }
}
