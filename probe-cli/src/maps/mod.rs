//! Leaf maps for people and programs: where they come from, and every form that they are shown in.
//!
//! All of it is built on [`LeafWalk`](crate::model::walk::LeafWalk). Nothing here knows a terminal:
//! a [`Look`] says what may be written.

pub mod csv;
pub mod diff;
pub mod history;
pub mod json;
pub mod runs;
pub mod source;
pub mod strip;
pub mod svg;
pub mod table;
pub mod tone;
pub mod totals;
pub mod view;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::{
    model::set::{Origin, TranslationSet},
    text::plain,
};

/// What text may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Only ASCII glyphs.
    pub ascii: bool,
    /// The 16 colours of the terminal.
    pub color: bool,
    /// Cells in a line; `None` when it does not go to a terminal.
    pub width: Option<u16>,
}

impl Look {
    /// Text for a file or a pipe.
    pub const PLAIN: Self = Self { ascii: false, color: false, width: None };
}

/// Writes whose leaf map follows: `process 4242 (postgres)`.
///
/// # Errors
/// When it cannot be written.
pub fn write_heading(set: &TranslationSet, look: Look, out: &mut impl Write) -> io::Result<()> {
    let Origin { pid, comm, .. } = set.origin();
    let heading = format!("process {pid} ({})", plain(comm));
    writeln!(out, "{}", look.bold(&heading))
}

impl Look {
    /// Text in a colour: the parameter of its SGR sequence.
    fn paint(self, sgr: &str, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{sgr}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn quiet(self, text: &str) -> String {
        self.paint("90", text)
    }
}
