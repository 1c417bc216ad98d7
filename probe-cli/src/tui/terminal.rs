//! Takes the terminal, and gives it back as it was: at the end, on an error, and on a panic.

use std::{
    io::{self, IsTerminal as _, Stdout, stdout},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

/// The terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, for as long as the view is open.
pub(super) struct Taken {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Taken {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard output is no terminal, or cannot be switched.
    pub(super) fn take() -> Result<Self> {
        ensure!(
            stdout().is_terminal(),
            "standard output is not a terminal: --batch prints frames as text"
        );
        give_back_on_panic();
        TAKEN.store(true, Ordering::SeqCst);
        let switched = enable_raw_mode().and_then(|()| execute!(stdout(), EnterAlternateScreen));
        let terminal = switched.and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        if terminal.is_err() {
            give_back();
        }
        Ok(Self { terminal: terminal.context("cannot switch the terminal to the view")? })
    }

    /// The terminal, as long as no panic of another thread has given it back.
    pub(super) fn get(&mut self) -> io::Result<&mut Terminal<CrosstermBackend<Stdout>>> {
        if TAKEN.load(Ordering::SeqCst) {
            Ok(&mut self.terminal)
        } else {
            Err(io::Error::other("the terminal was given back after a panic"))
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, once. Errors are of no use here: the terminal may be gone.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Before a panic's message is printed, so that it can be read.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}
