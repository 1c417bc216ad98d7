//! Reads a trace, line by line.

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;

use super::{
    check,
    decode::{Fields, Text},
    fixups,
    footer::Footer,
    format::{FORMAT, LONGEST, LONGEST_OTHER},
    header::Header,
    lines::Lines,
    quick,
    summary::Summary,
};
use crate::{
    escape::harmless,
    input::{Input, Note},
    sample::Sample,
    track::reading::Reading,
};

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
    #[error("line {line} of the trace is longer than {} MiB: it is no trace", LONGEST >> 20)]
    Long {
        /// Counts from 1.
        line: u64,
    },
    /// The file does not begin with a header.
    #[error("it is no trace: the first line is no header; `walkprobe trace` records one")]
    NoHeader,
    /// The header is not complete.
    #[error("the header of the trace is damaged: {0}")]
    Header(serde_json::Error),
    /// A later version of this tool wrote it.
    #[error(
        "the trace has format {0}, and this version reads up to {FORMAT}: use a later walkprobe"
    )]
    Later(u32),
}

/// What is known of a line before all of it is understood.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    format: Option<u32>,
}

/// The kinds of lines that are no events.
const OTHERS: [&str; 8] =
    ["header", "footer", "reading", "summary", "lost", "gone", "unread", "left"];

/// The most kinds of lines that are told apart in what was left out.
const KINDS: usize = 64;

/// Reads the inputs of a session from a trace.
pub struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    footer: Option<Footer>,
    left_out: LeftOut,
}

/// Lines that this version can make nothing of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Lines of a kind, or with a value, that a later version has; by kind, escaped.
    pub unknown: BTreeMap<String, u64>,
    /// Lines that say what cannot be, such as a range that ends before it begins.
    pub impossible: u64,
    /// The number of the first of them; the header is line 1.
    pub first_impossible: Option<u64>,
}

impl LeftOut {
    /// How many lines.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.unknown.values().sum::<u64>() + self.impossible
    }

    fn cannot_be(&mut self, line: u64) {
        self.impossible += 1;
        self.first_impossible.get_or_insert(line);
    }

    fn add(&mut self, kind: &str) {
        let mut kind = kind.chars().take(64).collect::<String>();
        harmless(&mut kind);
        if self.unknown.len() >= KINDS && !self.unknown.contains_key(&kind) {
            "others".clone_into(&mut kind);
        }
        *self.unknown.entry(kind).or_default() += 1;
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is no trace, or one of a later format.
    pub fn new(from: R) -> Result<Self, ReadError> {
        let mut lines = Lines::new(from);
        let line = lines.next()?.ok_or(ReadError::NoHeader)?;
        let head: Head<'_> = serde_json::from_slice(line).map_err(|_| ReadError::NoHeader)?;
        let format = match head.format {
            Some(format) if head.kind.0 == "header" => format,
            _ => return Err(ReadError::NoHeader),
        };
        if format > FORMAT {
            return Err(ReadError::Later(format));
        }
        let mut header: Header = repaired(format, "header", line).map_err(ReadError::Header)?;
        header.texts().for_each(harmless);
        Ok(Self { lines, header, footer: None, left_out: LeftOut::default() })
    }

    /// Where and how the trace was made.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// When the trace began, in ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.header.clock.start
    }

    /// The footer, when it has been read: without it the trace was cut.
    #[must_use]
    pub const fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref()
    }

    /// Lines that this version could make nothing of, until now.
    #[must_use]
    pub const fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Bytes that were read until now, as they are when nothing is compressed.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// What should be said about a trace that has been read to its end; nothing about a whole one.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.footer.is_none() {
            let line = if self.lines.is_cut() { ", in the middle of a line" } else { "" };
            complaints.push(format!("the trace was cut: it ends before its footer{line}"));
        }
        let unknown = self.left_out.unknown.values().sum::<u64>();
        if unknown > 0 {
            complaints.push(format!(
                "{unknown} lines are of a later format and were left out: a later walkprobe reads them"
            ));
        }
        if let Some(first) = self.left_out.first_impossible {
            let number = self.left_out.impossible;
            complaints.push(format!(
                "{number} lines say what cannot be, and were left out; the first is line {first}"
            ));
        }
        complaints
    }

    /// The next input; `None` at the end.
    ///
    /// # Errors
    /// When a line is damaged. A last line without an end is that of a trace that was cut, and no error.
    pub fn next_input(&mut self) -> Result<Option<Input>, ReadError> {
        let format = self.header.format;
        while let Some(line) = self.lines.next()? {
            let is_long = line.len() > LONGEST_OTHER;
            let mut fields = Fields::default();
            let read = match quick::fill(&mut fields, line) {
                Some(()) => Ok(()),
                None => serde_json::from_slice(line).map(|read| fields = read),
            };
            let kind = match read {
                Ok(()) if !OTHERS.contains(&&*fields.kind.0) => {
                    match fields.event() {
                        Ok(event) if !is_long && check::event(&event) => {
                            return Ok(Some(event.into()));
                        }
                        Ok(_) => self.left_out.cannot_be(self.lines.number()),
                        Err(_) => self.left_out.add(&fields.kind.0),
                    }
                    continue;
                }
                Ok(()) => fields.kind.0.into_owned(),
                // It may be of a kind that has a field of one of these names and another type.
                Err(error) => {
                    let Ok(head) = serde_json::from_slice::<Head<'_>>(line) else {
                        return Err(ReadError::Line { line: self.lines.number(), error });
                    };
                    head.kind.0.into_owned()
                }
            };
            let input = match &*kind {
                "header" => continue,
                "footer" => {
                    let read = repaired(format, "footer", line);
                    self.footer = Some(read.map_err(damaged(self.lines.number()))?);
                    continue;
                }
                "reading" => repaired::<Reading>(format, "reading", line).map(made_harmless),
                "summary" => repaired::<Summary>(format, "summary", line).map(summary),
                "lost" | "gone" | "unread" | "left" => {
                    repaired::<Note>(format, "note", line).map(note)
                }
                kind => {
                    self.left_out.add(kind);
                    continue;
                }
            };
            let input = input.map_err(damaged(self.lines.number()))?;
            let can_be = match &input {
                Input::Reading(reading) => check::reading(reading),
                Input::Sample(sample) => !is_long && check::sample(sample),
                _ => !is_long,
            };
            if can_be {
                return Ok(Some(input));
            }
            self.left_out.cannot_be(self.lines.number());
        }
        Ok(None)
    }
}

fn damaged(line: u64) -> impl Fn(serde_json::Error) -> ReadError {
    move |error| ReadError::Line { line, error }
}

/// A line as this format has it.
fn repaired<T: DeserializeOwned>(format: u32, kind: &str, line: &[u8]) -> serde_json::Result<T> {
    if !fixups::concern(format, kind) {
        return serde_json::from_slice(line);
    }
    let mut value: Value = serde_json::from_slice(line)?;
    fixups::apply(format, kind, &mut value);
    serde_json::from_value(value)
}

fn made_harmless(mut reading: Reading) -> Input {
    harmless(&mut reading.comm);
    for vma in reading.vmas.iter_mut().flatten() {
        harmless(&mut vma.name);
        vma.flags.iter_mut().flatten().for_each(harmless);
    }
    reading.into()
}

fn summary(mut summary: Summary) -> Input {
    summary.processes.iter_mut().for_each(|process| harmless(&mut process.comm));
    Sample::from(summary).into()
}

fn note(mut note: Note) -> Input {
    if let Note::Unread { why, .. } = &mut note {
        harmless(why);
    }
    note.into()
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
