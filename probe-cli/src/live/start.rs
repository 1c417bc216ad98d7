//! What every command that traces does first.

use crate::{
    exit::Failure,
    kernel::{facts::Facts, gather::gather},
    plan::{cure::cure, plan, report::Mode},
    probe::{self, Live, Settings},
};

/// Finds out about the kernel, and attaches.
///
/// # Errors
/// When nothing can be attached: [`Failure::Impossible`], with the reason and the cure.
pub fn start(settings: &Settings) -> anyhow::Result<(Facts, Live)> {
    let (facts, symbols) = gather(probe::mechanisms);
    let live = Live::start(&facts, symbols, plan(&facts), settings)
        .map_err(|error| Failure::Impossible(format!("{error}; {}", cure(&facts))))?;
    if live.report().mode == Mode::Nothing {
        let message = format!("no probe can be attached; {}", cure(&facts));
        return Err(Failure::Impossible(message).into());
    }
    Ok((facts, live))
}
