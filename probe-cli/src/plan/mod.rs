//! From facts about a kernel to an attach plan: for each logical probe the candidates in order, and
//! for each candidate that cannot be used the reason.
//!
//! Pure: no I/O, no aya. What loading then really gives is added by [`crate::probe`].

pub mod catalogue;
pub mod changes;
pub mod cure;
pub mod decide;
pub mod reason;
pub mod report;
pub mod walks;

pub use decide::{Candidate, Plan, Row, plan};
pub use reason::Reason;
pub use report::Report;
