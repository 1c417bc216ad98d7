//! The only users of aya: trying what the kernel takes, loading, attaching, reading.

mod attach;
mod changes;
mod decode;
mod error;
mod instructions;
mod live;
mod object;
pub mod scan;
mod trial;

pub use attach::{RING_BYTES, Settings};
pub use error::ProbeError;
pub use live::{Ended, Live};
pub use trial::mechanisms;
