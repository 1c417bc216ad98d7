//! What is known about a kernel, as data: gathered on the running one, or read back from a
//! recording, so that decisions can be tested for kernels that are not there.
//!
//! "Could not tell" is not "no": what could not be found out is `None`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{btf::Prototype, privileges::Privileges};

/// Everything that the attach plan rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// Why there is no BTF; absent when there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_btf: Option<String>,
    /// Functions that probes ask for, by name.
    pub functions: BTreeMap<String, FunctionFacts>,
    /// Tracepoints that probes ask for, by name.
    pub tracepoints: BTreeMap<String, Prototype>,
    /// Byte offsets, by `structure.member`.
    pub offsets: BTreeMap<String, u32>,
    /// Sizes in bytes, by structure.
    #[serde(default)]
    pub sizes: BTreeMap<String, u32>,
    /// Where the kernel has it: how a program says that an address points to words. Numbers of
    /// BTF belong to one build of a kernel, so that they are not recorded.
    #[serde(skip)]
    pub cast: Option<Cast>,
    /// The numbers in BTF of the functions that probes ask for, where there is one of the name only; not recorded either.
    #[serde(skip)]
    pub numbers: BTreeMap<String, u32>,
    /// Enumerators that records hold, by enumeration.
    pub enumerators: BTreeMap<String, BTreeMap<String, i64>>,
    /// Which kinds of program this kernel takes.
    pub mechanisms: Mechanisms,
    /// What this process may do.
    pub privileges: Privileges,
    /// Kernel configuration that matters, by option; absent when not set; `None` when the
    /// configuration cannot be read.
    pub config: Option<BTreeMap<String, String>>,
}

impl Facts {
    /// The kernel has a function of this name, of those that were looked for.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.functions.get(name).is_some_and(|function| {
            function.symbols.map_or(!function.prototypes.is_empty(), |number| number > 0)
        })
    }
}

/// One kernel function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionFacts {
    /// Its prototypes in BTF: none, one, or several functions of the same name.
    pub prototypes: Vec<Prototype>,
    /// How many symbols of this name kallsyms has.
    pub symbols: Option<u32>,
    /// Whether ftrace can trace it (`available_filter_functions`).
    pub traceable: Option<bool>,
}

/// Which kinds of program and which instructions this kernel takes, found out by attaching or loading a program that does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mechanisms {
    /// fentry and fexit.
    pub fentry: Trial,
    /// kprobe and kretprobe.
    pub kprobe: Trial,
    /// Raw tracepoints.
    pub raw_tracepoint: Trial,
    /// Plain loads of kernel memory, where [`Facts::cast`] says how.
    #[serde(default)]
    pub cast: Trial,
    /// Atomic exchanges (Linux 5.12).
    #[serde(default)]
    pub exchange: Trial,
}

impl Mechanisms {
    /// The result for one kind of program.
    #[must_use]
    pub fn trial(&self, mechanism: Mechanism) -> &Trial {
        match mechanism {
            Mechanism::Fentry => &self.fentry,
            Mechanism::Kprobe => &self.kprobe,
            Mechanism::Tracepoint => &self.raw_tracepoint,
        }
    }
}

/// A kind of program: how it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// fentry and fexit: the cheapest.
    Fentry,
    /// kprobe and kretprobe.
    Kprobe,
    /// Raw tracepoint.
    Tracepoint,
}

impl Mechanism {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}

impl Trial {
    /// Whether it works.
    #[must_use]
    pub const fn works(&self) -> bool {
        matches!(self, Self::Works)
    }
}

/// The result of trying something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// It works.
    Works,
    /// The kernel refused, with this message.
    Refused(String),
    /// Nobody tried.
    #[default]
    Untried,
}

/// BTF numbers for `bpf_rdonly_cast` (kernel/bpf/helpers.c, Linux 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// That function.
    pub function: u32,
    /// A structure of two 64-bit integers.
    pub words: u32,
}
