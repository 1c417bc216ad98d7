//! The terminal view: what `walkprobe top` shows.
//!
//! Three layers. A [`Feed`] brings events, samples and readings from another thread; `app` folds them into
//! the session and into what the views remember (selection, sort, scroll), and answers keys with
//! an effect; the widgets (`header`, `processes`, `vmas`, `vma`, `operations`, `compare`, `walker`, `log`, `help`, `hints`) only
//! read that and write cells. `depth` knows which level is open: all processes, the VMAs of one, one
//! VMA, or beside them the walkers. Every key is one row of the table in [`keys`], from which the hints, the help
//! and `docs/keys.md` are made.

mod app;
mod batch;
mod cells;
mod columns;
mod compare;
mod depth;
mod feed;
mod follows;
mod header;
mod help;
mod hints;
pub mod keys;
mod list;
mod log;
mod operations;
mod order;
mod own;
mod processes;
mod prompt;
mod revision;
mod rows;
mod rule;
mod run;
mod screen;
mod still;
mod terminal;
mod theme;
mod vma;
mod vma_rows;
mod vma_view;
mod vmas;
mod walker;
mod walker_rows;
mod zoom;

#[cfg(test)]
mod compare_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod level_tests;
#[cfg(test)]
mod map_fixture;
#[cfg(test)]
mod tests;

pub use batch::{batch, recorded};
pub use feed::{Control, Feed, Input, Request};
pub use run::run;
pub use still::one_vma;

/// What is known before the first event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The kernel's release, such as `6.12.9-amd64`.
    pub release: String,
    /// What can be seen on this kernel.
    pub mode: Mode,
    /// Logical probes that are attached.
    pub attached: usize,
    /// Logical probes that were wanted.
    pub wanted: usize,
    /// The moment that the log calls 0, in ns of `CLOCK_MONOTONIC`.
    pub start: u64,
    /// Whose maps are followed.
    pub scope: Scope,
    /// A trace is replayed.
    pub is_replay: bool,
    /// Not every change of a map is an event: a map that is followed has to be read as a whole at intervals.
    pub is_blind: bool,
}

/// Whose maps are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All processes are watched: the map of the one that is open is followed.
    #[default]
    All,
    /// Those of the processes that were chosen, from the beginning.
    Chosen,
}

/// How much can be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    #[default]
    Full,
    /// Not everything: why, in a few words.
    Reduced(String),
}

/// What the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Use colours: the 16 of the terminal's own palette.
    pub color: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { color: true }
    }
}

impl Options {
    /// The defaults, as far as the environment does not say otherwise: `NO_COLOR`, when set to
    /// anything (<https://no-color.org>), turns colours off.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { color: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }
}
