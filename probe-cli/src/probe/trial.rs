//! Finds out which kinds of program and which instructions this kernel takes, by programs that do nothing.

use aya::{
    Ebpf,
    programs::{FEntry, KProbe, ProgramError, RawTracePoint},
};
use probe_common::{config::Config, site::Sites};

use super::{
    error::brief_program_error,
    functions::functions,
    instructions::Instructions,
    object::{self, Sizes},
};
use crate::{
    kernel::facts::{Facts, Mechanisms, Trial},
    plan::catalogue::TRIAL_FUNCTION,
};

/// A tracepoint of every kernel that fires rarely (`include/trace/events/task.h`).
const TRIAL_TRACEPOINT: &str = "task_newtask";

/// Tries each kind of program once, and each instruction that only some kernels have. One object serves all, for reading it is
/// most of the work.
#[must_use]
pub fn mechanisms(facts: &Facts) -> Mechanisms {
    let mut ebpf = match object::load(
        &Config::NONE,
        &Sites::NONE,
        Sizes::SMALLEST,
        0,
        Instructions::worth_trying(facts),
    ) {
        Ok(ebpf) => ebpf,
        Err(error) => {
            let refused = Trial::Refused(super::ProbeError::Load(error).to_string());
            return Mechanisms {
                fentry: refused.clone(),
                kprobe: refused.clone(),
                raw_tracepoint: refused.clone(),
                cast: refused.clone(),
                exchange: refused,
            };
        }
    };
    // Kernels without networking do not have the function that is there to be tried.
    let function = if facts.functions.contains_key(TRIAL_FUNCTION) {
        TRIAL_FUNCTION
    } else {
        "handle_mm_fault"
    };
    Mechanisms {
        fentry: result(try_fentry(&mut ebpf, function, facts)),
        kprobe: result(try_kprobe(&mut ebpf, function)),
        raw_tracepoint: result(try_tracepoint(&mut ebpf)),
        cast: result(facts.cast.and_then(|_| try_load(&mut ebpf, "trial_cast"))),
        exchange: result(try_load(&mut ebpf, "trial_exchange")),
    }
}

fn result(outcome: Option<Result<(), ProgramError>>) -> Trial {
    match outcome {
        Some(Ok(())) => Trial::Works,
        Some(Err(error)) => Trial::Refused(brief_program_error(&error)),
        None => Trial::Untried,
    }
}

fn try_fentry(ebpf: &mut Ebpf, function: &str, facts: &Facts) -> Option<Result<(), ProgramError>> {
    let program: &mut FEntry = ebpf.program_mut("trial_fentry")?.try_into().ok()?;
    let btf = match functions(facts) {
        Ok(btf) => btf,
        Err(error) => return Some(Err(error.into())),
    };
    Some(program.load(function, &btf).and_then(|()| program.attach()).map(drop))
}

fn try_kprobe(ebpf: &mut Ebpf, function: &str) -> Option<Result<(), ProgramError>> {
    let program: &mut KProbe = ebpf.program_mut("trial_kprobe")?.try_into().ok()?;
    Some(program.load().and_then(|()| program.attach(function, 0)).map(drop))
}

fn try_load(ebpf: &mut Ebpf, name: &str) -> Option<Result<(), ProgramError>> {
    let program: &mut RawTracePoint = ebpf.program_mut(name)?.try_into().ok()?;
    Some(program.load())
}

fn try_tracepoint(ebpf: &mut Ebpf) -> Option<Result<(), ProgramError>> {
    let program: &mut RawTracePoint = ebpf.program_mut("trial_tracepoint")?.try_into().ok()?;
    Some(program.load().and_then(|()| program.attach(TRIAL_TRACEPOINT)).map(drop))
}
