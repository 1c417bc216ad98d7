//! The only users of aya: trying what the kernel takes, loading, attaching, reading.

mod attach;
mod changes;
mod decode;
mod error;
mod instructions;
mod live;
mod misses;
mod object;
pub mod scan;
mod stacks;
mod trial;

pub use attach::{RING_BYTES, RING_BYTES_WITH_STACKS, Settings};
pub use error::ProbeError;
pub use live::{Ended, Live};
pub use trial::mechanisms;
