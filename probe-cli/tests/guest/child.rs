//! The other process of a test: this program again, in a role.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;

use crate::{
    roles,
    run::{PATIENCE, ensure},
};

/// Says which role this process has; unset in the process that runs the tests.
const VARIABLE: &str = "WALKPROBE_TEST_ROLE";

/// Plays the role that this process was started for, until it is killed.
pub(crate) fn play() {
    if let Ok(role) = env::var(VARIABLE) {
        let ended = roles::play(&role);
        // The test reads why, and fails.
        crate::run::note(&format!("the role {role} ended: {ended:?}"));
        std::process::exit(1);
    }
}

/// A command for this program in a role.
pub(crate) fn command(role: &str) -> Result<Command, Failed> {
    let mut command = Command::new(env::current_exe()?);
    command.env(VARIABLE, role);
    Ok(command)
}

/// A process in a role; killed when dropped.
pub(crate) struct Actor {
    child: Child,
    words: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts a process in a role.
    pub(crate) fn new(role: &str) -> Result<Self, Failed> {
        Self::start(command(role)?)
    }

    /// Starts a command that [`command`] made.
    pub(crate) fn start(mut command: Command) -> Result<Self, Failed> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let words = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self { child, words })
    }

    /// Waits for its next line, which is words with blanks in between.
    pub(crate) fn words(&mut self) -> Result<Vec<String>, Failed> {
        let mut line = String::new();
        self.words.read_line(&mut line)?;
        ensure(line.ends_with('\n'), || format!("the other process ended early: {line:?}"))?;
        Ok(line.split_whitespace().map(str::to_owned).collect())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Fails when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until something is found.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, Failed> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure(Instant::now() < end, || format!("{what} did not come"))?;
        thread::sleep(Duration::from_millis(2));
    }
}
