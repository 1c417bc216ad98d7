//! What the user can do when something does not work.

use crate::kernel::facts::{Facts, Mechanism, Trial};

/// What the user can do when nothing works.
#[must_use]
pub fn cure(facts: &Facts) -> String {
    if let Some(cure) = rights_cure(facts) {
        return cure;
    }
    match (&facts.no_btf, facts.privileges.lockdown.as_deref()) {
        (Some(error), _) => {
            format!("this kernel has no BTF ({error}): use one with CONFIG_DEBUG_INFO_BTF=y")
        }
        (None, Some("confidentiality")) => {
            "the kernel is locked down (confidentiality), which forbids reading its memory: boot it \
             with lockdown=integrity"
                .to_owned()
        }
        _ => "`walkprobe doctor` shows the reasons".to_owned(),
    }
}

/// What the user can do when a kind of program is refused; `None` when it is not.
#[must_use]
pub fn refusal_cure(facts: &Facts, mechanism: Mechanism) -> Option<String> {
    let Trial::Refused(error) = facts.mechanisms.trial(mechanism) else {
        return None;
    };
    if let Some(cure) = rights_cure(facts) {
        return Some(cure);
    }
    let option = match mechanism {
        Mechanism::Fentry => "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
        Mechanism::Kprobe => "CONFIG_KPROBES",
        Mechanism::Tracepoint => "CONFIG_BPF_SYSCALL",
    };
    Some(match &facts.config {
        Some(config) if !config.contains_key(option) => {
            format!("use a kernel built with {option}=y")
        }
        _ if error.contains("Operation not permitted") => {
            "this process has the rights, so a security policy of this kernel forbids it: ask who \
             runs the machine, or use another kernel"
                .to_owned()
        }
        _ => format!("use a kernel built with {option}=y, and report this message if it is"),
    })
}

fn rights_cure(facts: &Facts) -> Option<String> {
    if facts.privileges.can_trace() {
        return None;
    }
    let missing = facts.privileges.missing();
    let names: Vec<_> = missing.iter().map(|capability| capability.name).collect();
    Some(format!("run it as root, or with {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{cure, refusal_cure};
    use crate::kernel::{
        facts::{Facts, Mechanism, Mechanisms, Trial},
        privileges::Privileges,
    };

    const EPERM: &str = "Operation not permitted (os error 1)";

    fn facts(capabilities: u64) -> Facts {
        let fentry = Trial::Refused(EPERM.to_owned());
        Facts {
            mechanisms: Mechanisms { fentry, ..Mechanisms::default() },
            privileges: Privileges { capabilities, ..Privileges::default() },
            ..Facts::default()
        }
    }

    #[test]
    fn missing_rights_come_first() {
        let facts = facts(0);
        let expected = "run it as root, or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE";
        assert_eq!(cure(&facts), expected);
        assert_eq!(refusal_cure(&facts, Mechanism::Fentry).as_deref(), Some(expected));
        assert_eq!(refusal_cure(&facts, Mechanism::Kprobe), None);
    }

    #[test]
    fn with_all_rights_it_is_a_policy_or_the_configuration() {
        let mut facts = facts(u64::MAX);
        let cure = refusal_cure(&facts, Mechanism::Fentry).unwrap();
        assert!(cure.contains("a security policy of this kernel"), "{cure}");
        facts.config = Some([].into());
        let cure = refusal_cure(&facts, Mechanism::Fentry).unwrap();
        assert_eq!(cure, "use a kernel built with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y");
    }
}
