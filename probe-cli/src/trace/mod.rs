//! The trace format: JSON Lines with a header, events and a footer.

pub mod format;
pub mod reader;
pub mod writer;
