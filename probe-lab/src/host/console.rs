//! This side's terminal, standard input and signals.

use std::io::{self, IsTerminal as _, Read as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use crate::machine::Terminal;
use crate::protocol::Kind;

/// Bytes of standard input in one frame.
const CHUNK: usize = 4096;

/// Signals that end a run.
const ENDING: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// A frame to the guest.
pub(crate) type Outgoing = (Kind, Vec<u8>);

/// Whether a person sits at both ends of the command.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The terminal's size; 80x24 where it does not tell.
pub(crate) fn size() -> Terminal {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            Terminal { rows: size.ws_row, columns: size.ws_col }
        }
        _ => Terminal { rows: 24, columns: 80 },
    }
}

/// The terminal in raw mode, so that each key goes to the guest; as it was before once dropped.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches to raw mode.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may be gone, and then nothing needs to be restored.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Passes standard input on until it ends. The thread cannot be stopped while it waits, and ends with the process.
pub(crate) fn pass_input(outgoing: SyncSender<Outgoing>) {
    thread::spawn(move || {
        let mut buffer = [0; CHUNK];
        loop {
            let count = match io::stdin().lock().read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            if outgoing.send((Kind::Stdin, buffer[..count].to_vec())).is_err() || count == 0 {
                return;
            }
        }
    });
}

/// Signals, given to a function as they come, until dropped.
#[derive(Debug)]
pub(crate) struct SignalWatch {
    handle: Handle,
}

/// How many watches there are.
static WATCHES: AtomicUsize = AtomicUsize::new(0);
/// Whether there is none, so that a signal does what it does by default.
static IDLE: OnceLock<Arc<AtomicBool>> = OnceLock::new();

impl SignalWatch {
    /// Starts to watch. A second signal to end ends this process even if nobody listens any more.
    pub(crate) fn start(mut give: impl FnMut(i32) + Send + 'static) -> io::Result<Self> {
        Self::take_over()?;
        let mut signals = Signals::new(ENDING.into_iter().chain([SIGWINCH]))?;
        let handle = signals.handle();
        thread::spawn(move || {
            for signal in &mut signals {
                give(signal);
            }
        });
        if WATCHES.fetch_add(1, Ordering::SeqCst) == 0 {
            set_idle(false);
        }
        Ok(Self { handle })
    }

    /// Once for the process: handlers cannot be taken away again, only told to do the default.
    fn take_over() -> io::Result<()> {
        if IDLE.get().is_some() {
            return Ok(());
        }
        let idle = IDLE.get_or_init(|| Arc::new(AtomicBool::new(true)));
        let asked = Arc::new(AtomicBool::new(false));
        for signal in ENDING {
            flag::register_conditional_default(signal, Arc::clone(idle))?;
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(())
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        if WATCHES.fetch_sub(1, Ordering::SeqCst) == 1 {
            set_idle(true);
        }
        self.handle.close();
    }
}

fn set_idle(idle: bool) {
    if let Some(flag) = IDLE.get() {
        flag.store(idle, Ordering::SeqCst);
    }
}

/// Whether a signal tells of a new terminal size.
pub(crate) fn is_resize(signal: i32) -> bool {
    signal == SIGWINCH
}
