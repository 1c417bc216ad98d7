//! Ending in good order when somebody asks for it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Becomes true when SIGINT, SIGTERM or SIGHUP arrives; waiting system calls are interrupted.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens to the signals. A second one of the same kind ends the process at once, in case
    /// the first cannot. Different kinds often come together (systemd sends SIGTERM and SIGHUP)
    /// and ask for the same thing once.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let again = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&again),
            )?;
            signal_hook::flag::register(signal, again)?;
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    /// Somebody asked.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.0.load(Relaxed)
    }
}
