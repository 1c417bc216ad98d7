//! The trace format: JSON Lines with a header, inputs of a session, and a footer.

mod check;
mod decode;
mod fixups;
pub mod footer;
pub mod format;
pub mod header;
mod lines;
pub mod open;
mod quick;
pub mod reader;
pub mod schema;
pub mod summary;
pub mod writer;
pub mod zst;

#[cfg(test)]
mod versions_tests;
