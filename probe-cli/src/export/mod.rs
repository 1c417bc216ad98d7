//! A trace in the forms that other tools open.
//!
//! An exporter takes in the inputs of a trace one after another, as a session does, and writes what it makes of them.
//! What maps come to is what the session of the views makes of the same inputs.

pub mod chrome;
pub mod columns;
mod counters;
pub mod csv;
pub mod folded;
pub mod html;
pub mod perfetto;
mod proto;
mod slices;
mod timeline;
mod tracks;

use std::io::{self, BufWriter, Write};

use crate::input::Input;

/// Where an export goes.
pub type Sink = BufWriter<Box<dyn Write>>;

/// One form of a trace.
pub trait Exporter {
    /// Takes in whatever a trace brings.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn input(&mut self, input: Input) -> io::Result<()>;

    /// Writes what is left, and gives what should be said about it. What is wrong with the trace is told, for forms
    /// that people read.
    ///
    /// # Errors
    /// When the output cannot be written, or the trace has nothing that this form shows.
    fn finish(self: Box<Self>, complaints: &[String]) -> anyhow::Result<Vec<String>>;
}

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Perfetto's own format, for ui.perfetto.dev and trace_processor
    Perfetto,
    /// JSON of Chrome's trace events, for ui.perfetto.dev and chrome://tracing
    Chrome,
    /// Comma-separated values: a file for each event family, in a folder
    Csv,
    /// A report for a browser, in one file that loads nothing
    Html,
    /// Stacks that end in a cause, with how often they were there: for flame graphs
    Folded,
}

/// So many things, for people.
fn number(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
