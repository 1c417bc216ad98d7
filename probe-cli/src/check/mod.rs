//! Compares results of `walkprobe bench`: did a walker get slower, or visit other things?
//!
//! Pure: results and rules go in, a report comes out.

pub mod compare;
pub mod explain;
mod finding;
mod identity;
pub mod material;
mod ratio;
pub mod report;
pub mod rules;

pub(crate) use self::identity::clean;
pub use self::{
    finding::{Finding, Kind, Place, Verdict},
    identity::Identity,
    ratio::Interval,
};
