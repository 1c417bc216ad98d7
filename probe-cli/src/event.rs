//! What happened in the kernel, in words: the one type that flows from the probes, or from a
//! trace file, to the session.

use std::fmt;

use probe_common::probe::Probe;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    change::{Change, Errno},
    stacks::Stacks,
};

/// A virtual address; `0x`-hexadecimal in text and JSON, whose numbers are only exact to 2^53.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address: 0x and hexadecimal digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Address, E> {
                let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
                digits
                    .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                    .map(Address)
                    .ok_or_else(|| E::custom("an address is 0x and hexadecimal digits"))
            }
        }
        // Not by way of a String: a trace has several in each line.
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^0x[0-9a-f]{1,16}$" })
    }
}

/// One operation of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When it began, in ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The probe that saw it.
    #[serde(with = "probe_name")]
    #[schemars(schema_with = "probe_name::schema")]
    pub probe: Probe,
    /// How long it took, in ns; absent when a tracepoint saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// The process whose address space it concerns; absent when the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Who did it.
    pub by: Actor,
    /// What it was.
    #[serde(flatten)]
    pub detail: Detail,
    /// Who called; absent when nobody asked.
    // Boxed, because they are large and mostly not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stacks: Option<Box<Stacks>>,
}

/// The thread that did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// Thread group, in the initial PID namespace.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// The thread's name, escaped.
    pub comm: String,
    /// It is a kernel thread, such as khugepaged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kernel: bool,
    /// The CPU on which the operation ended.
    pub cpu: u16,
}

impl Event {
    /// Whether it may have changed something in the address space of a process.
    #[must_use]
    pub fn concerns(&self, pid: u32) -> bool {
        self.pid == Some(pid) || self.is_of_all()
    }

    /// Whether it may concern every process.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        self.detail == Detail::Change(Change::Retract)
    }

    /// How much memory it takes, about, in units of 100 bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let text = match &self.detail {
            Detail::Collapse { outcome, .. } => outcome.len(),
            Detail::Walk { callback: Some(callback), .. } => callback.len(),
            _ => 0,
        };
        let texts = (self.by.comm.len() + text) / 100;
        2 + texts + self.stacks.as_ref().map_or(0, |stacks| stacks.weight())
    }

    /// When it was over, in ns of `CLOCK_MONOTONIC`; for a tracepoint, when it was seen.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.time.saturating_add(self.duration.unwrap_or(0))
    }
}

/// What an operation was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Detail {
    /// A page fault.
    Fault {
        /// The faulting address.
        address: Address,
        /// It was a write.
        write: bool,
        /// How it ended.
        outcome: FaultOutcome,
        /// Size of the VMA's hugetlb pages in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page_size: Option<u64>,
    },
    /// A PMD leaf was replaced.
    PmdSplit {
        /// First address that the PMD entry maps.
        address: Address,
        /// What stands in its place.
        into: SplitInto,
        /// The new entries are migration entries.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        freeze: bool,
    },
    /// The kernel tried to split a large folio.
    FolioSplit {
        /// Order of the folios asked for.
        new_order: u32,
        /// 0, or a negative errno.
        errno: i32,
    },
    /// The kernel tried to collapse a range into one folio.
    Collapse {
        /// First address; absent when the kernel does not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<Address>,
        /// The kernel's `enum scan_result`, lower case without `SCAN_`; `unknown` where the
        /// kernel does not tell.
        outcome: String,
        /// Order of the folio; absent where the kernel only makes PMD-sized ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<u32>,
    },
    /// `madvise(MADV_COLLAPSE)`.
    CollapseRequest {
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
        /// 0, or a negative errno.
        errno: i32,
    },
    /// A page-table walk of one VMA, or one call of a walker's callback.
    Walk {
        /// First address.
        start: Address,
        /// One past the last address.
        end: Address,
        /// Over which implementation.
        path: Path,
        /// The callback that names the walker; absent when its symbol is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        callback: Option<String>,
        /// What the function returned.
        result: i32,
    },
    /// Leaves or the list of VMAs changed in another way; the kind is that of the change.
    #[serde(untagged)]
    Change(Change),
}

impl Detail {
    /// The first address that it names; `None` when it names none.
    #[must_use]
    pub const fn start(&self) -> Option<Address> {
        match self {
            Self::Fault { address, .. } | Self::PmdSplit { address, .. } => Some(*address),
            Self::FolioSplit { .. } => None,
            Self::Collapse { address, .. } => *address,
            Self::CollapseRequest { start, .. } | Self::Walk { start, .. } => Some(*start),
            Self::Change(change) => change.start(),
        }
    }
}

/// How a page fault ended (`enum vm_fault_reason`, `include/linux/mm_types.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultOutcome {
    /// The entry is there.
    Done,
    /// It will be tried again, for example with the mmap_lock held.
    Retry,
    /// This handler cannot; a smaller leaf will be tried.
    Fallback,
    /// Out of memory.
    OutOfMemory,
    /// SIGBUS: no such page, or the hugetlb pool is empty.
    Sigbus,
    /// SIGSEGV.
    Sigsegv,
    /// The page is poisoned.
    HardwarePoison,
    /// A tracepoint saw the beginning only.
    Unknown,
}

/// What stands in the place of a split PMD leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitInto {
    /// A table of PTEs.
    Table,
    /// Nothing: file pages are mapped again by later faults.
    Nothing,
}

/// How a walker goes over a VMA.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// By its pgd..pte callbacks.
    Generic,
    /// By its `hugetlb_entry` callback.
    Hugetlb,
}

/// A [`Probe`] as its name.
pub mod probe_name {
    use std::borrow::Cow;

    use probe_common::probe::Probe;
    use schemars::{Schema, SchemaGenerator, json_schema};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes the probe's name.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(probe: &Probe, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(probe.name())
    }

    /// The names that there are.
    #[must_use]
    pub fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Probe::ALL.map(Probe::name).as_slice() })
    }

    /// Reads a probe's name.
    ///
    /// # Errors
    /// When no probe has that name.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Probe, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        Probe::ALL
            .into_iter()
            .find(|probe| probe.name() == name)
            .ok_or_else(|| D::Error::custom(format_args!("no probe is called {name:?}")))
    }
}

impl fmt::Display for Detail {
    /// One line for people: what happened, where, and how it ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { address, write, outcome, page_size } => {
                let access = if *write { "write" } else { "read" };
                write!(f, "{access} {address}")?;
                if let Some(size) = page_size {
                    write!(f, " page {}", crate::units::bytes(*size))?;
                }
                match outcome {
                    FaultOutcome::Done | FaultOutcome::Unknown => Ok(()),
                    FaultOutcome::Retry => f.write_str(", retried"),
                    FaultOutcome::Fallback => f.write_str(", fell back to smaller pages"),
                    FaultOutcome::OutOfMemory => f.write_str(", out of memory"),
                    FaultOutcome::Sigbus => f.write_str(", SIGBUS"),
                    FaultOutcome::Sigsegv => f.write_str(", SIGSEGV"),
                    FaultOutcome::HardwarePoison => f.write_str(", poisoned page"),
                }
            }
            Self::PmdSplit { address, into, freeze } => {
                let into = match into {
                    SplitInto::Table => "into PTEs",
                    SplitInto::Nothing => "unmapped",
                };
                write!(f, "{address} {into}{}", if *freeze { ", for migration" } else { "" })
            }
            Self::FolioSplit { new_order, errno } => {
                write!(f, "to order {new_order}{}", Errno(*errno))
            }
            Self::Collapse { address, outcome, order } => {
                if let Some(address) = address {
                    write!(f, "{address} ")?;
                }
                if let Some(order) = order {
                    write!(f, "order {order} ")?;
                }
                f.write_str(outcome)
            }
            Self::CollapseRequest { start, end, errno } => {
                write!(f, "{start}-{end}{}", Errno(*errno))
            }
            Self::Walk { start, end, path, callback, result } => {
                let path = match path {
                    Path::Generic => "generic",
                    Path::Hugetlb => "hugetlb",
                };
                write!(f, "{start}-{end} {path}")?;
                if let Some(callback) = callback {
                    write!(f, " {callback}")?;
                }
                if *result != 0 {
                    write!(f, ", returned {result}")?;
                }
                Ok(())
            }
            Self::Change(change) => change.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Actor, Address, Detail, Event, FaultOutcome};
    use probe_common::probe::Probe;

    fn event() -> Event {
        Event {
            time: 12,
            probe: Probe::HugetlbFault,
            duration: Some(3400),
            pid: Some(7),
            by: Actor { pid: 7, tid: 8, comm: "a\\x1b".to_owned(), kernel: false, cpu: 1 },
            detail: Detail::Fault {
                address: Address(u64::MAX - 1),
                write: true,
                outcome: FaultOutcome::Done,
                page_size: Some(2 << 20),
            },
            stacks: None,
        }
    }

    #[test]
    fn json_keeps_every_bit() {
        let json = serde_json::to_string(&event()).unwrap();
        assert!(json.contains("\"kind\":\"fault\",\"address\":\"0xfffffffffffffffe\""), "{json}");
        assert!(!json.contains("stacks"), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event());
    }

    #[test]
    fn people_read_one_line() {
        assert_eq!(event().detail.to_string(), "write 0xfffffffffffffffe page 2M");
        let split = Detail::FolioSplit { new_order: 0, errno: -16 };
        assert!(split.to_string().starts_with("to order 0, "), "{split}");
    }
}
