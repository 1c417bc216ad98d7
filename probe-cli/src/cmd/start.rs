//! What every command that traces does first.

use crate::{
    exit::Failure,
    kernel::{facts::Facts, gather::gather, privileges::Capability},
    plan::{plan, report::Mode},
    probe::{self, Live, Settings},
};

/// Finds out about the kernel, and attaches.
///
/// # Errors
/// When nothing can be attached: [`Failure::Impossible`], with the reason and the cure.
pub(super) fn start(settings: &Settings) -> anyhow::Result<(Facts, Live)> {
    let (facts, symbols) = gather(probe::mechanisms);
    let live = Live::start(&facts, symbols, plan(&facts), settings)
        .map_err(|error| Failure::Impossible(format!("{error}; {}", cure(&facts))))?;
    if live.report().mode == Mode::Nothing {
        let message = format!("no probe can be attached; {}", cure(&facts));
        return Err(Failure::Impossible(message).into());
    }
    Ok((facts, live))
}

/// What the user can do when nothing works.
pub(super) fn cure(facts: &Facts) -> String {
    let missing = facts.privileges.missing();
    if !facts.privileges.can_trace() {
        let names: Vec<_> = missing.iter().map(|capability: &Capability| capability.name).collect();
        return format!("run it as root, or with the capabilities {}", names.join(", "));
    }
    match (&facts.no_btf, facts.privileges.lockdown.as_deref()) {
        (Some(error), _) => {
            format!("this kernel has no BTF ({error}): use one with CONFIG_DEBUG_INFO_BTF=y")
        }
        (None, Some("confidentiality")) => {
            "the kernel is locked down (confidentiality), which forbids reading its memory; boot \
             with lockdown=integrity"
                .to_owned()
        }
        _ => "`walkprobe doctor` shows the reasons".to_owned(),
    }
}
