//! Why a candidate cannot be used, and what would cure it.

use std::fmt;

use serde::Serialize;

use super::catalogue::Role;

/// Why a candidate cannot be used. One sentence for people is its `Display`; [`Reason::cure`] says
/// what to do, if anything can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The kernel has no BTF.
    NoBtf {
        /// The error.
        error: String,
    },
    /// The function is not in this kernel: not in BTF and not in kallsyms.
    NoFunction,
    /// The function is in this kernel, but only as a copy inside of its callers, or without BTF.
    NoPrototype,
    /// Several functions have this name.
    Ambiguous {
        /// How many.
        count: u32,
    },
    /// The compiler has put a part of the function into one of its own, which callers can call
    /// directly.
    Bypassed,
    /// The function cannot be traced by ftrace.
    NotTraceable,
    /// The function does not have an argument that the probe needs.
    NoArgument {
        /// What the argument means.
        role: &'static str,
    },
    /// The argument is not in a register, or it cannot be told in which.
    NotInRegister {
        /// What the argument means.
        role: &'static str,
    },
    /// The function returns nothing, and the probe needs to know how it ended.
    NoResult,
    /// A structure does not have a member that the probe needs.
    NoMember {
        /// `structure.member`.
        member: String,
    },
    /// This kernel has no such tracepoint.
    NoTracepoint,
    /// The tracepoint's arguments are not those that the probe knows.
    OtherTracepoint,
    /// This kernel takes no program of this kind at all.
    Refused {
        /// The kernel's message.
        error: String,
    },
    /// The kernel did not take this program.
    LoadFailed {
        /// The kernel's message, its last lines.
        error: String,
    },
    /// The kernel took the program but did not attach it.
    AttachFailed {
        /// The kernel's message.
        error: String,
    },
}

impl Reason {
    pub(super) fn no_argument(role: Role) -> Self {
        Self::NoArgument { role: role.name() }
    }

    /// What the user can do; `None` when nothing but another kernel helps.
    #[must_use]
    pub fn cure(&self) -> Option<&'static str> {
        match self {
            Self::NoBtf { .. } => Some(
                "run a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels are",
            ),
            Self::LoadFailed { .. } | Self::AttachFailed { .. } => Some(
                "run with -v, and report the message with the output of `walkprobe doctor --json`",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBtf { error } => write!(f, "this kernel has no BTF ({error})"),
            Self::NoFunction => f.write_str("not in this kernel"),
            Self::NoPrototype => f.write_str("inlined, or without BTF"),
            Self::Ambiguous { count } => write!(f, "{count} functions have this name"),
            Self::Bypassed => f.write_str("callers may go past it to a part of it"),
            Self::NotTraceable => f.write_str("not traceable by ftrace"),
            Self::NoArgument { role } => write!(f, "has no argument that tells the {role}"),
            Self::NotInRegister { role } => write!(f, "its {role} is not in a known register"),
            Self::NoResult => f.write_str("does not return how it ended"),
            Self::NoMember { member } => write!(f, "this kernel has no {member}"),
            Self::NoTracepoint => f.write_str("no such tracepoint"),
            Self::OtherTracepoint => f.write_str("the tracepoint has other arguments"),
            Self::Refused { .. } => f.write_str("refused by this kernel"),
            Self::LoadFailed { error } => write!(f, "the kernel did not load the program: {error}"),
            Self::AttachFailed { error } => write!(f, "the kernel did not attach it: {error}"),
        }
    }
}
