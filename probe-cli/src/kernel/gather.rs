//! Gathers the facts about the running kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
};

use super::{
    btf::{self, Btf},
    facts::{Cast, Facts, FunctionFacts, Mechanisms},
    privileges::Privileges,
    symbols::Symbols,
};
use crate::{
    plan::catalogue::{
        CATALOGUE, ENUMERATIONS, MEMBERS, PARTS, SCAN_FUNCTIONS, SCAN_MEMBERS, SCAN_STRUCTURES,
        TRIAL_FUNCTION,
    },
    walk::{callbacks::CALLBACKS, registry},
};

/// Kernel options that decide what walkprobe can show.
pub const OPTIONS: [&str; 12] = [
    "CONFIG_BPF_SYSCALL",
    "CONFIG_BPF_JIT",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_KPROBES",
    "CONFIG_FUNCTION_TRACER",
    "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    "CONFIG_KALLSYMS_ALL",
    "CONFIG_MEMCG",
    "CONFIG_TRANSPARENT_HUGEPAGE",
    "CONFIG_HUGETLBFS",
    "CONFIG_PROC_PAGE_MONITOR",
    "CONFIG_SECURITY_LOCKDOWN_LSM",
];

/// Gathers everything that reading files can tell. What only trying can tell
/// ([`Facts::mechanisms`]) is given by `mechanisms`, which gets the functions that can be tried.
///
/// Beside the facts come the symbols that they rest on: addresses belong to one boot, so they are
/// no facts about a kernel.
pub fn gather(mechanisms: impl FnOnce(&Facts) -> Mechanisms) -> (Facts, Symbols) {
    let symbols = Symbols::read(&symbol_names());
    let traceable = traceable(&function_names());
    let mut facts = from_btf(symbols.as_ref().ok(), traceable.as_ref().ok());
    facts.config = config();
    facts.mechanisms = mechanisms(&facts);
    (facts, symbols.unwrap_or_default())
}

/// What BTF alone tells, in a fraction of the time: enough for the scan, which attaches to nothing.
#[must_use]
pub fn gather_btf() -> Facts {
    from_btf(None, None)
}

fn from_btf(symbols: Option<&Symbols>, traceable: Option<&BTreeSet<&'static str>>) -> Facts {
    let uname = rustix::system::uname();
    let mut facts = Facts {
        release: uname.release().to_string_lossy().into_owned(),
        machine: uname.machine().to_string_lossy().into_owned(),
        privileges: privileges(),
        ..Facts::default()
    };
    let btf = fs::read(btf::VMLINUX)
        .map_err(|error| format!("{}: {error}", btf::VMLINUX))
        .and_then(|bytes| Btf::parse(bytes).map_err(|error| error.to_string()));
    match btf {
        Ok(btf) => describe(&mut facts, &btf, symbols, traceable),
        Err(error) => facts.no_btf = Some(error),
    }
    facts
}

/// Functions that probes ask for, and the callbacks that name walkers.
fn symbol_names() -> BTreeSet<&'static str> {
    function_names().into_iter().chain(CALLBACKS.map(|callback| callback.name)).collect()
}

/// The names of all functions that probes ask for.
fn function_names() -> BTreeSet<&'static str> {
    CATALOGUE
        .iter()
        .flat_map(|logical| logical.functions.iter().copied())
        .chain(registry::sites().flat_map(|(_, site)| site.functions.iter().copied()))
        .chain([TRIAL_FUNCTION])
        .chain(SCAN_FUNCTIONS)
        .chain(PARTS)
        .collect()
}

fn describe(
    facts: &mut Facts,
    btf: &Btf,
    symbols: Option<&Symbols>,
    traceable: Option<&BTreeSet<&'static str>>,
) {
    let names = function_names();
    for name in names {
        let function = FunctionFacts {
            prototypes: btf.functions(name),
            symbols: symbols.map(|symbols| symbols.count(name)),
            traceable: traceable.map(|traceable| traceable.contains(name)),
        };
        if !function.prototypes.is_empty() || function.symbols.is_some_and(|number| number > 0) {
            facts.functions.insert(name.to_owned(), function);
        }
        if let Some(number) = btf.function_number(name) {
            facts.numbers.insert(name.to_owned(), number);
        }
    }
    for name in CATALOGUE.iter().flat_map(|logical| logical.tracepoints).flat_map(|t| t.names) {
        if let Some(prototype) = btf.tracepoint(name) {
            facts.tracepoints.insert((*name).to_owned(), prototype);
        }
    }
    for member in MEMBERS {
        for name in member.members {
            if let Some(offset) = btf.offset(member.structure, name) {
                facts.offsets.insert(format!("{}.{name}", member.structure), offset);
            }
        }
    }
    for (structure, member) in SCAN_MEMBERS {
        if let Some(offset) = btf.offset(structure, member) {
            facts.offsets.insert(format!("{structure}.{member}"), offset);
        }
    }
    for structure in SCAN_STRUCTURES {
        if let Some(size) = btf.size(structure) {
            facts.sizes.insert(structure.to_owned(), size);
        }
    }
    facts.cast = cast(btf);
    for name in ENUMERATIONS {
        let enumerators: BTreeMap<_, _> = btf.enumerators(name).into_iter().collect();
        if !enumerators.is_empty() {
            facts.enumerators.insert(name.to_owned(), enumerators);
        }
    }
}

/// What programs need to read words by plain loads.
fn cast(btf: &Btf) -> Option<Cast> {
    // Seconds and nanoseconds: two 64-bit integers on every 64-bit kernel.
    const WORDS: &str = "timespec64";
    let is_two_words = btf.size(WORDS) == Some(16) && btf.offset(WORDS, "tv_nsec") == Some(8);
    let words = btf.structure_number(WORDS).filter(|_| is_two_words)?;
    Some(Cast { function: btf.function_number("bpf_rdonly_cast")?, words })
}

/// Which of these functions ftrace can trace.
fn traceable(names: &BTreeSet<&'static str>) -> io::Result<BTreeSet<&'static str>> {
    let list = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .iter()
        .map(|folder| fs::read(format!("{folder}/available_filter_functions")))
        .find(Result::is_ok)
        .unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
    Ok(list
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let name = line.split(|&byte| byte == b' ').next()?;
            names.get(std::str::from_utf8(name).ok()?).copied()
        })
        .collect())
}

fn privileges() -> Privileges {
    Privileges {
        euid: rustix::process::geteuid().as_raw(),
        capabilities: procfs::process::Process::myself()
            .and_then(|process| process.status())
            .map_or(0, |status| status.capeff),
        lockdown: fs::read_to_string("/sys/kernel/security/lockdown")
            .ok()
            .as_deref()
            .and_then(active_lockdown)
            .map(str::to_owned),
        unprivileged_bpf_disabled: fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled")
            .ok()
            .and_then(|text| text.trim().parse().ok()),
        initial_pid_namespace: fs::metadata("/proc/self/ns/pid")
            .ok()
            .map(|namespace| namespace.ino() == INITIAL_PID_NAMESPACE),
    }
}

/// `PROC_PID_INIT_INO` (`include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;

/// `none [integrity] confidentiality`: the one in brackets.
fn active_lockdown(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(mode, _)| mode)
}

fn config() -> Option<BTreeMap<String, String>> {
    use procfs::ConfigSetting;
    let all = procfs::kernel_config().ok()?;
    Some(
        OPTIONS
            .iter()
            .filter_map(|&option| {
                let value = match all.get(option)? {
                    ConfigSetting::Yes => "y".to_owned(),
                    ConfigSetting::Module => "m".to_owned(),
                    ConfigSetting::Value(value) => value.clone(),
                };
                Some((option.to_owned(), value))
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::active_lockdown;

    #[test]
    fn the_active_lockdown_mode_is_in_brackets() {
        assert_eq!(active_lockdown("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(active_lockdown("garbage"), None);
    }
}
