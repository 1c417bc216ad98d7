//! The signals that end the view in an orderly way.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    SigId,
    consts::{SIGHUP, SIGINT, SIGTERM},
};

/// Whether a signal has asked for the end; listens for as long as it lives.
pub(super) struct Signals {
    asked: Arc<AtomicBool>,
    ids: Vec<SigId>,
}

impl Signals {
    /// Starts to listen. The first signal asks; a second one ends the process at once, so that
    /// nobody is locked in when the orderly end hangs.
    pub(super) fn listen() -> io::Result<Self> {
        let mut signals = Self { asked: Arc::default(), ids: Vec::new() };
        for signal in [SIGTERM, SIGHUP, SIGINT] {
            let asked = Arc::clone(&signals.asked);
            signals.ids.push(signal_hook::flag::register_conditional_default(signal, asked)?);
            let asked = Arc::clone(&signals.asked);
            signals.ids.push(signal_hook::flag::register(signal, asked)?);
        }
        Ok(signals)
    }

    /// A signal has come.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
