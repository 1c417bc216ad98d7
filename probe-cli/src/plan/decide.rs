//! The decision: which candidates of each logical probe can be used on a kernel.

use probe_common::config::{Arguments, Offsets};
use serde::Serialize;

use super::{
    Reason,
    catalogue::{CATALOGUE, Logical, MEMBERS, Member, Needs, Role, Tracepoint},
};
use crate::{
    event::probe_name,
    kernel::{
        btf::{Parameter, Prototype},
        facts::{Facts, FunctionFacts, Mechanism, Trial},
    },
};

/// One way to get a logical probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// How.
    pub mechanism: Mechanism,
    /// The function, or the tracepoints.
    pub targets: Vec<&'static str>,
    /// Where its arguments stand.
    #[serde(skip)]
    pub arguments: Arguments,
    /// What it cannot tell, against the best candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<&'static str>,
    /// Why it cannot be used; absent when it can be tried.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub rejected: Option<Reason>,
}

/// One logical probe with its candidates, the best first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Which.
    #[serde(with = "probe_name")]
    pub probe: probe_common::probe::Probe,
    /// What people lose without it.
    pub feature: &'static str,
    /// The candidates.
    pub candidates: Vec<Candidate>,
}

/// What can be attached on a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// One row for each logical probe, by number.
    pub rows: Vec<Row>,
    /// Offsets for the programs.
    #[serde(skip)]
    pub offsets: Offsets,
    /// The bit in a folio's flags that says that it is large (`PG_head`).
    #[serde(skip)]
    pub page_head: Option<u8>,
}

/// How the compiler names the rest of a function whose beginning it puts into the callers.
const PART: &str = ".part.0";

/// The most arguments that x86-64 passes in registers.
const REGISTERS: usize = 6;

/// Decides what can be attached.
#[must_use]
pub fn plan(facts: &Facts) -> Plan {
    let offsets = offsets(facts);
    let rows = CATALOGUE.iter().map(|logical| row(facts, logical)).collect();
    let page_head = facts
        .enumerators
        .get("pageflags")
        .and_then(|flags| u8::try_from(*flags.get("PG_head")?).ok());
    Plan { rows, offsets, page_head }
}

/// The offsets that this kernel's BTF has.
pub(super) fn offsets(facts: &Facts) -> Offsets {
    let mut offsets = Offsets::NONE;
    for member in &MEMBERS {
        if let Some(offset) = offset(facts, member) {
            (member.set)(&mut offsets, offset);
        }
    }
    offsets
}

impl Plan {
    /// Leaves only what is wanted.
    pub fn retain(&mut self, wanted: impl Fn(probe_common::probe::Probe) -> bool) {
        self.rows.retain(|row| wanted(row.probe));
    }
}

fn row(facts: &Facts, logical: &Logical) -> Row {
    let functions = function_candidates(facts, logical.functions, logical.needs());
    let tracepoints =
        logical.tracepoints.iter().map(|tracepoint| tracepoint_candidate(facts, tracepoint));
    Row {
        probe: logical.probe,
        feature: logical.feature,
        candidates: functions.chain(tracepoints).collect(),
    }
}

/// Each function by each mechanism, the best first.
pub(super) fn function_candidates(
    facts: &Facts,
    functions: &'static [&'static str],
    needs: Needs,
) -> impl Iterator<Item = Candidate> {
    functions.iter().flat_map(move |&name| {
        [Mechanism::Fentry, Mechanism::Kprobe]
            .map(|mechanism| function_candidate(facts, &needs, name, mechanism))
    })
}

fn function_candidate(
    facts: &Facts,
    needs: &Needs,
    name: &'static str,
    mechanism: Mechanism,
) -> Candidate {
    let judged = judge_function(facts, needs, name, mechanism);
    Candidate {
        mechanism,
        targets: vec![name],
        arguments: *judged.as_ref().unwrap_or(&Arguments::NONE),
        limits: None,
        rejected: judged.err(),
    }
}

fn judge_function(
    facts: &Facts,
    needs: &Needs,
    name: &str,
    mechanism: Mechanism,
) -> Result<Arguments, Reason> {
    has_btf(facts)?;
    let function = facts.functions.get(name).ok_or(Reason::NoFunction)?;
    let prototype = only_prototype(function)?;
    accepted(facts.mechanisms.trial(mechanism))?;
    if mechanism == Mechanism::Fentry && function.traceable == Some(false) {
        return Err(Reason::NotTraceable);
    }
    if facts.functions.contains_key(&format!("{name}{PART}")) {
        return Err(Reason::Bypassed);
    }
    let (required, offsets) = in_this_version(needs, prototype);
    for member in offsets {
        if offset(facts, member).is_none() {
            let member = format!("{}.{}", member.structure, member.members[0]);
            return Err(Reason::NoMember { member });
        }
    }
    let mut arguments = Arguments {
        count: u8::try_from(prototype.parameters.len()).unwrap_or(u8::MAX),
        returns: u8::from(prototype.returns),
        ..Arguments::NONE
    };
    if needs.result && !prototype.returns {
        return Err(Reason::NoResult);
    }
    for &role in required {
        let position = position(prototype, role, needs.address).ok_or(Reason::no_argument(role))?;
        if mechanism == Mechanism::Kprobe && !in_register(&prototype.parameters, position) {
            return Err(Reason::NotInRegister { role: role.name() });
        }
        *slot(&mut arguments, role) = byte(position);
    }
    for &role in needs.optional {
        if let Some(position) = position(prototype, role, needs.address)
            && (mechanism == Mechanism::Fentry || in_register(&prototype.parameters, position))
        {
            *slot(&mut arguments, role) = byte(position);
        }
    }
    Ok(arguments)
}

/// The arguments and the offsets that the probe needs in this version.
fn in_this_version(
    needs: &Needs,
    prototype: &Prototype,
) -> (&'static [Role], impl Iterator<Item = &'static Member> + use<>) {
    let packed = needs.packed.filter(|packed| {
        packed.required.iter().all(|&role| position(prototype, role, &[]).is_some())
    });
    let required = packed.map_or(needs.required, |packed| packed.required);
    (required, needs.offsets.iter().chain(packed.map_or(&[][..], |packed| packed.offsets)))
}

fn tracepoint_candidate(facts: &Facts, tracepoint: &Tracepoint) -> Candidate {
    let judged = judge_tracepoint(facts, tracepoint);
    Candidate {
        mechanism: Mechanism::Tracepoint,
        targets: tracepoint.names.to_vec(),
        arguments: *judged.as_ref().unwrap_or(&Arguments::NONE),
        limits: Some(tracepoint.limits),
        rejected: judged.err(),
    }
}

fn judge_tracepoint(facts: &Facts, tracepoint: &Tracepoint) -> Result<Arguments, Reason> {
    has_btf(facts)?;
    accepted(facts.mechanisms.trial(Mechanism::Tracepoint))?;
    for &name in tracepoint.names {
        let prototype = facts.tracepoints.get(name).ok_or(Reason::NoTracepoint)?;
        let mut types = prototype.parameters.iter().map(|parameter| &parameter.type_name);
        let alike = tracepoint
            .types
            .iter()
            .all(|&wanted| types.next().is_some_and(|found| wanted.is_empty() || found == wanted));
        if !alike {
            return Err(Reason::OtherTracepoint);
        }
    }
    let mut arguments = Arguments::NONE;
    for &(role, position) in tracepoint.roles {
        *slot(&mut arguments, role) = position;
    }
    Ok(arguments)
}

fn has_btf(facts: &Facts) -> Result<(), Reason> {
    match &facts.no_btf {
        Some(error) => Err(Reason::NoBtf { error: error.clone() }),
        None => Ok(()),
    }
}

fn accepted(trial: &Trial) -> Result<(), Reason> {
    match trial {
        Trial::Refused(error) => Err(Reason::Refused { error: error.clone() }),
        Trial::Works | Trial::Untried => Ok(()),
    }
}

fn only_prototype(function: &FunctionFacts) -> Result<&Prototype, Reason> {
    // A program attaches by name: with two functions of one name, nobody knows to which.
    if let Some(count @ 2..) = function.symbols {
        return Err(Reason::Ambiguous { count });
    }
    match (function.prototypes.as_slice(), function.symbols) {
        ([prototype], Some(1) | None) => Ok(prototype),
        ([], Some(0) | None) => Err(Reason::NoFunction),
        // One of BTF and kallsyms knows it, the other does not.
        ([] | [_], Some(_)) => Err(Reason::NoPrototype),
        (several, _) => {
            Err(Reason::Ambiguous { count: u32::try_from(several.len()).unwrap_or(u32::MAX) })
        }
    }
}

fn offset(facts: &Facts, member: &Member) -> Option<u16> {
    member.members.iter().find_map(|name| {
        let offset = facts.offsets.get(&format!("{}.{name}", member.structure))?;
        u16::try_from(*offset).ok().filter(|&offset| offset != probe_common::config::NONE16)
    })
}

/// The first parameter that looks like the role; names in their order of preference.
fn position(prototype: &Prototype, role: Role, address: &[&str]) -> Option<usize> {
    let (names, types) = role.looks();
    let names = if role == Role::Address { address } else { names };
    let find = |name: Option<&str>| {
        prototype.parameters.iter().position(|parameter| {
            types.contains(&parameter.type_name.as_str())
                && name.is_none_or(|name| parameter.name == name)
        })
    };
    if names.is_empty() { find(None) } else { names.iter().find_map(|name| find(Some(name))) }
}

/// A structure by value takes as many registers as it has words, or none: what stands behind it is
/// nowhere known to be.
fn in_register(parameters: &[Parameter], position: usize) -> bool {
    position < REGISTERS && !parameters[..position].iter().any(|parameter| parameter.by_value)
}

fn slot(arguments: &mut Arguments, role: Role) -> &mut u8 {
    match role {
        Role::Mm => &mut arguments.mm,
        Role::Vma | Role::Source => &mut arguments.vma,
        Role::Vmf => &mut arguments.vmf,
        Role::Walk => &mut arguments.walk,
        Role::Address => &mut arguments.address,
        Role::End => &mut arguments.end,
        Role::Flags | Role::Command => &mut arguments.flags,
        Role::Pmd => &mut arguments.pmd,
        Role::Freeze => &mut arguments.freeze,
        Role::Order => &mut arguments.order,
        Role::Status => &mut arguments.status,
        Role::Len | Role::Pages => &mut arguments.len,
        Role::NewAddress | Role::Insert | Role::OtherPage | Role::Argument | Role::Mask => {
            &mut arguments.other
        }
        Role::Control | Role::Prepare | Role::Folio | Role::Page | Role::File => {
            &mut arguments.object
        }
    }
}

fn byte(position: usize) -> u8 {
    u8::try_from(position).unwrap_or(probe_common::config::NONE8)
}
