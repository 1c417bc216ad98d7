//! Operations that change leaves or the list of VMAs, in words.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Address;

/// What changed, beside faults, splits and collapses. Every range is `start` to `end`, the latter
/// excluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Leaves were removed.
    Zap {
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
    },
    /// Leaves got other permissions.
    Protect {
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
        /// How many base pages were changed, as the kernel counts them; absent when it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pages: Option<u64>,
    },
    /// Leaves moved to other addresses.
    Move {
        /// First address before.
        start: Address,
        /// One past the last address before.
        end: Address,
        /// First address after.
        to: Address,
    },
    /// Leaves of a VMA were copied to a child and write-protected.
    Fork {
        /// First address of the VMA.
        start: Address,
        /// One past the last address of the VMA.
        end: Address,
        /// 0, or a negative errno.
        errno: i32,
    },
    /// Leaves of all that one PUD entry maps may have come with a table of another process.
    Share {
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
    },
    /// Shared tables in a range were given up, and the leaves with them.
    Unshare {
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
    },
    /// A collapse of a file took tables from whoever maps that part of it.
    Retract,
    /// Swap entries were replaced by leaves, because their swap space goes away.
    Unuse {
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
        /// 0, or a negative errno; a part may have been done.
        errno: i32,
    },
    /// A page was merged with another one of the same contents.
    KsmMerge {
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
    },
    /// A PUD leaf was cleared, so that its parts can be mapped.
    PudSplit {
        /// First address of the leaf.
        start: Address,
        /// One past its last address.
        end: Address,
    },
    /// A request to userfaultfd.
    Uffd {
        /// Which.
        request: UffdRequest,
        /// First address that it concerns.
        start: Address,
        /// One past the last address.
        end: Address,
        /// First address that pages are moved away from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Address>,
        /// 0, or a negative errno; a part may have been done.
        errno: i32,
    },
    /// The leaves of a folio became migration entries.
    Migrate(Folio),
    /// The migration entries of a folio became leaves.
    Restore(Folio),
    /// The leaves of a folio became swap entries, or went away.
    Reclaim(Folio),
    /// Another program took the place of this one, and its address space that of the old one.
    Exec {
        /// 0, or a negative errno.
        errno: i32,
    },
    /// The whole address space was torn down.
    Exit,
    /// The list of VMAs changed.
    Vma {
        /// How.
        change: VmaChange,
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
        /// 0, or a negative errno; a part may have been done.
        errno: i32,
    },
}

/// A folio in one VMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Folio {
    /// First address that it has in the VMA.
    pub start: Address,
    /// One past its last address, if all of it is in the VMA; absent when its size is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Address>,
    /// The kernel went on: false when it gave up at this VMA.
    pub done: bool,
}

/// What a request to userfaultfd does (`UFFDIO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UffdRequest {
    /// Fills missing pages with copies.
    Copy,
    /// Maps the zero page.
    Zeropage,
    /// Moves pages.
    Move,
    /// Write-protects, or the opposite; a `protect` is a part of it.
    WriteProtect,
    /// Maps pages that are in the page cache.
    Continue,
    /// Makes poison markers.
    Poison,
}

/// How the list of VMAs changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VmaChange {
    /// A mapping was made; what was in the range is gone.
    Map,
    /// Everything in the range is gone.
    Unmap,
    /// The heap grew by the range.
    Brk,
    /// A stack grew by the range.
    Grow,
    /// A VMA was put in place: the copy of mremap, or a special mapping.
    Link,
    /// A VMA became two.
    Split,
    /// A VMA took the place of another one.
    Merge,
    /// A VMA begins or ends elsewhere; until 6.1 also a merge.
    Resize,
}

impl Change {
    /// The first address that is concerned; `None` for a whole address space.
    #[must_use]
    pub const fn start(&self) -> Option<Address> {
        match self {
            Self::Zap { start, .. }
            | Self::Protect { start, .. }
            | Self::Move { start, .. }
            | Self::Fork { start, .. }
            | Self::Share { start, .. }
            | Self::Unshare { start, .. }
            | Self::Unuse { start, .. }
            | Self::KsmMerge { start, .. }
            | Self::PudSplit { start, .. }
            | Self::Uffd { start, .. }
            | Self::Vma { start, .. }
            | Self::Migrate(Folio { start, .. })
            | Self::Restore(Folio { start, .. })
            | Self::Reclaim(Folio { start, .. }) => Some(*start),
            Self::Exec { .. } | Self::Exit | Self::Retract => None,
        }
    }

    /// One past the last address that is concerned; `None` when it is not known, and for a whole
    /// address space.
    #[must_use]
    pub const fn end(&self) -> Option<Address> {
        match self {
            Self::Zap { end, .. }
            | Self::Protect { end, .. }
            | Self::Move { end, .. }
            | Self::Fork { end, .. }
            | Self::Share { end, .. }
            | Self::Unshare { end, .. }
            | Self::Unuse { end, .. }
            | Self::KsmMerge { end, .. }
            | Self::PudSplit { end, .. }
            | Self::Uffd { end, .. }
            | Self::Vma { end, .. } => Some(*end),
            Self::Migrate(folio) | Self::Restore(folio) | Self::Reclaim(folio) => folio.end,
            Self::Exec { .. } | Self::Exit | Self::Retract => None,
        }
    }
}

impl fmt::Display for Change {
    /// One line for people, without the kind: where, and how it ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.start(), self.end()) {
            (Some(start), Some(end)) => write!(f, "{start}-{end}")?,
            (Some(start), None) => write!(f, "{start}")?,
            (None, _) if *self == Self::Retract => f.write_str("whoever maps the file")?,
            (None, _) => f.write_str("the whole address space")?,
        }
        match self {
            Self::Protect { pages: Some(pages), .. } => write!(f, ", {pages} pages"),
            Self::Protect { pages: None, .. } => f.write_str(", failed"),
            Self::Move { to, .. } => write!(f, " to {to}"),
            Self::Uffd { request, from, errno, .. } => {
                write!(f, " {}", request.name())?;
                if let Some(from) = from {
                    write!(f, " from {from}")?;
                }
                write!(f, "{}", Errno(*errno))
            }
            Self::Vma { change, errno, .. } => {
                write!(f, " {}{}", change.name(), Errno(*errno))
            }
            Self::Fork { errno, .. } | Self::Unuse { errno, .. } | Self::Exec { errno } => {
                write!(f, "{}", Errno(*errno))
            }
            Self::Migrate(folio) | Self::Restore(folio) | Self::Reclaim(folio) if !folio.done => {
                f.write_str(", given up")
            }
            _ => Ok(()),
        }
    }
}

impl UffdRequest {
    const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copied",
            Self::Zeropage => "zero page",
            Self::Move => "moved",
            Self::WriteProtect => "write-protected",
            Self::Continue => "continued",
            Self::Poison => "poisoned",
        }
    }
}

impl VmaChange {
    const fn name(self) -> &'static str {
        match self {
            Self::Map => "mapped",
            Self::Unmap => "unmapped",
            Self::Brk => "heap grown",
            Self::Grow => "stack grown",
            Self::Link => "linked",
            Self::Split => "split",
            Self::Merge => "merged",
            Self::Resize => "resized",
        }
    }
}

/// `, EBUSY` and the like; nothing for 0.
pub(crate) struct Errno(pub(crate) i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            errno => write!(f, ", {}", std::io::Error::from_raw_os_error(-errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Folio, VmaChange};
    use crate::event::{Address, Detail};

    #[test]
    fn a_change_is_a_kind_like_the_others() {
        let (start, end) = (Address(0x1000), Address(0x3000));
        for (change, json, text) in [
            (
                Change::Zap { start, end },
                r#"{"kind":"zap","start":"0x1000","end":"0x3000"}"#,
                "0x1000-0x3000",
            ),
            (
                Change::Migrate(Folio { start, end: None, done: false }),
                r#"{"kind":"migrate","start":"0x1000","done":false}"#,
                "0x1000, given up",
            ),
            (Change::Exit, r#"{"kind":"exit"}"#, "the whole address space"),
            (
                Change::Vma { change: VmaChange::Map, start, end, errno: 0 },
                r#"{"kind":"vma","change":"map","start":"0x1000","end":"0x3000","errno":0}"#,
                "0x1000-0x3000 mapped",
            ),
        ] {
            let detail = Detail::Change(change);
            assert_eq!(serde_json::to_string(&detail).unwrap(), json);
            assert_eq!(serde_json::from_str::<Detail>(json).unwrap(), detail);
            assert_eq!(detail.to_string(), text);
        }
    }
}
