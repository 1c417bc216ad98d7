//! Writes a trace, line by line.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use serde::Serialize;

use super::format::Note;
use crate::{exit::Failure, input::Input, output};

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

    /// Writes what a session takes in.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn input(&mut self, input: &Input) -> Result<(), Failure> {
        self.events += u64::from(matches!(input, Input::Event(_)));
        self.json(encode(input))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        self.json(serde_json::to_vec(line))
    }

    /// Writes JSON as a line; none, when there is nothing.
    fn json(&mut self, json: serde_json::Result<Vec<u8>>) -> Result<(), Failure> {
        let written = json.map_err(io::Error::from).and_then(|mut json| {
            if json.is_empty() {
                return Ok(());
            }
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

    /// The line that an input is, its end included, as it is written.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn text(input: &Input) -> serde_json::Result<String> {
        let mut text = String::from_utf8_lossy(&encode(input)?).into_owned();
        if !text.is_empty() {
            text.push('\n');
        }
        Ok(text)
    }

    fn failure(&self, error: io::Error) -> Failure {
        Failure::Output { target: self.target.clone(), error }
    }
}

/// An input as JSON; nothing for what a trace does not have: counters stand in the footer, and what concerns the view alone
/// stands nowhere.
fn encode(input: &Input) -> serde_json::Result<Vec<u8>> {
    match input {
        Input::Event(event) => serde_json::to_vec(event),
        Input::Reading(reading) => serde_json::to_vec(reading),
        Input::Lost { time, number } => {
            serde_json::to_vec(&Note::Lost { time: *time, number: *number })
        }
        Input::Gone { time, pid } => serde_json::to_vec(&Note::Gone { time: *time, pid: *pid }),
        Input::Sample(_) | Input::Unread { .. } | Input::Left { .. } | Input::Census(_) => {
            Ok(Vec::new())
        }
    }
}
