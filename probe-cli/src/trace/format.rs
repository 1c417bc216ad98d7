//! What a trace is: its version, its limits, and every kind of line.

use schemars::JsonSchema;

use super::{footer::Footer, header::Header, summary::Summary};
use crate::{event::Event, input::Note, track::reading::Reading};

/// The version of the format. It grows when a reader of the version before would misunderstand a
/// line; new fields and kinds alone do not count.
///
/// 2: operations can be seen and be only counted: `counted` is a part of the sum in the footer.
pub const FORMAT: u32 = 2;

/// The longest line, its end included, in bytes: a reading of some 800 thousand runs. Nothing longer is written, and
/// nothing longer is read, so that memory is bounded.
pub const LONGEST: usize = 64 << 20;

/// The longest line that is no reading, in bytes: the log of a session keeps thousands of them.
pub const LONGEST_OTHER: usize = 4 << 20;

/// A line of a trace. For the schema: the reader chooses by `kind`.
#[derive(JsonSchema)]
#[schemars(untagged, title = "walkprobe trace")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum Line {
    /// The first line: where and how the trace was made.
    Header(Header),
    /// What stood in an address space.
    Reading(Reading),
    /// An operation of the kernel.
    Event(Event),
    /// What came to notice between events.
    Note(Note),
    /// What the kernel side has counted.
    Summary(Summary),
    /// The last line. A trace without it was cut.
    Footer(Footer),
}
