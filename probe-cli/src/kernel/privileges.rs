//! What this process may do.

use serde::{Deserialize, Serialize};

/// The rights that tracing needs, and what restricts them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Effective user ID.
    pub euid: u32,
    /// Effective capabilities as a bit set (`include/uapi/linux/capability.h`).
    pub capabilities: u64,
    /// The active mode in `/sys/kernel/security/lockdown`; absent without lockdown.
    pub lockdown: Option<String>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// This process is in the PID namespace that the kernel's own numbers belong to; `None` when
    /// it could not be told.
    pub initial_pid_namespace: Option<bool>,
}

/// A capability: its number and what it is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The name that `setcap` takes.
    pub name: &'static str,
    number: u32,
    /// What does not work without it.
    pub needed_for: &'static str,
}

const SYS_ADMIN: Capability =
    Capability { name: "CAP_SYS_ADMIN", number: 21, needed_for: "everything" };

/// What full use needs, each a part of what `CAP_SYS_ADMIN` allows unless said otherwise.
const NEEDED: [Capability; 3] = [
    Capability { name: "CAP_BPF", number: 39, needed_for: "loading eBPF programs" },
    Capability {
        name: "CAP_PERFMON",
        number: 38,
        needed_for: "attaching them and reading kernel memory",
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        number: 19,
        needed_for: "reading /proc of other users' processes",
    },
];

impl Privileges {
    fn has(&self, capability: Capability) -> bool {
        self.capabilities & 1 << capability.number != 0
    }

    /// The capabilities that are missing, in the order in which they are needed.
    #[must_use]
    pub fn missing(&self) -> Vec<Capability> {
        NEEDED
            .into_iter()
            .filter(|&capability| !self.has(capability))
            // Ptrace is not part of CAP_SYS_ADMIN (man 7 capabilities).
            .filter(|capability| capability.number == 19 || !self.has(SYS_ADMIN))
            .collect()
    }

    /// Programs can be loaded and attached, as far as capabilities go.
    #[must_use]
    pub fn can_trace(&self) -> bool {
        self.missing().iter().all(|capability| capability.number == 19)
    }
}

#[cfg(test)]
mod tests {
    use super::Privileges;

    fn with(numbers: &[u32]) -> Privileges {
        let capabilities = numbers.iter().fold(0, |set, number| set | 1 << number);
        Privileges { capabilities, ..Privileges::default() }
    }

    fn missing(numbers: &[u32]) -> Vec<&'static str> {
        with(numbers).missing().into_iter().map(|capability| capability.name).collect()
    }

    #[test]
    fn the_exact_capabilities_are_named() {
        assert_eq!(missing(&[]), ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"]);
        assert_eq!(missing(&[39]), ["CAP_PERFMON", "CAP_SYS_PTRACE"]);
        assert_eq!(missing(&[21]), ["CAP_SYS_PTRACE"]);
        assert_eq!(missing(&[19, 38, 39]), [""; 0]);
        assert!(with(&[38, 39]).can_trace() && with(&[21]).can_trace() && !with(&[39]).can_trace());
    }
}
