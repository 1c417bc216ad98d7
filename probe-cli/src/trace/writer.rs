//! Writes a trace, line by line.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use serde::Serialize;

use crate::{exit::Failure, output};

/// Writes the lines of a trace to a file or to standard output.
///
/// Only whole lines are handed to the system, so that a trace that is cut ends after a line, or
/// in the middle of one only when the disk is full.
pub struct Writer {
    out: BufWriter<Box<dyn Write>>,
    target: String,
    events: u64,
}

/// Lines are gathered up to this size before they are written.
const BUFFER: usize = 1 << 16;

impl Writer {
    /// Opens the output: a new file that only its owner can read, or standard output.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::new(Box::new(io::stdout()), "standard output".to_owned()));
        };
        let file = output::create(path)?;
        Ok(Self::new(Box::new(file), output::name(path)))
    }

    fn new(out: Box<dyn Write>, target: String) -> Self {
        Self { out: BufWriter::with_capacity(BUFFER, out), target, events: 0 }
    }

    /// Writes an event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn event(&mut self, event: &crate::event::Event) -> Result<(), Failure> {
        self.events += 1;
        self.line(event)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut json| {
            json.push(b'\n');
            if self.out.buffer().len() + json.len() > BUFFER {
                self.out.flush()?;
            }
            self.out.write_all(&json)
        });
        written.map_err(|error| self.failure(error))
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| self.failure(error))
    }

    /// How many events were written.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    fn failure(&self, error: io::Error) -> Failure {
        Failure::Output { target: self.target.clone(), error }
    }
}
