//! The only users of aya: trying what the kernel takes, loading, attaching, reading.

mod attach;
mod changes;
mod decode;
mod error;
mod functions;
mod instructions;
mod live;
mod misses;
mod object;
pub mod scan;
mod slow;
mod stacks;
mod targets;
mod trial;
mod walks;

pub use attach::{Later, RING_BYTES, RING_BYTES_WITH_STACKS, Settings};
pub use error::ProbeError;
pub use live::{Ended, Live, current_comm};
pub use slow::{Slow, Slower};
pub use targets::Targets;
pub use trial::mechanisms;
pub use walks::{WalkSettings, Walks};
