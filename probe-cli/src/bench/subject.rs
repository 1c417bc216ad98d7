//! The process that is measured: it builds spaces and drives walkers when it is told to.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::workload::walks::serve::{Answer, Driven};

/// Its process; ends when this is dropped.
pub(super) struct Subject {
    child: Child,
    /// Closed first, which ends it.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Subject {
    /// Starts it.
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.args(["workload", "__serve"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the process that is measured")?;
        let requests = child.stdin.take();
        let answers = child.stdout.take().context("it has no standard output")?;
        Ok(Self { child, requests, answers: BufReader::new(answers) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Builds a space in the place of the one before; gives its areas, or why it cannot be built.
    pub(super) fn build(
        &mut self,
        space: &str,
        blocks: u16,
    ) -> anyhow::Result<Result<Vec<(u64, u64)>, String>> {
        match self.ask(&format!("space {space} {blocks}\n"))? {
            Answer::Built(areas) => Ok(Ok(areas)),
            Answer::Refused(reason) => Ok(Err(reason)),
            Answer::Driven(_) => bail!("the process that is measured answered something else"),
        }
    }

    /// Drives a walker over the space so many times; gives what came of it, or why it cannot be driven.
    pub(super) fn drive(
        &mut self,
        walker: &str,
        rounds: u64,
    ) -> anyhow::Result<Result<Driven, String>> {
        match self.ask(&format!("drive {walker} {rounds}\n"))? {
            Answer::Driven(driven) => Ok(Ok(driven)),
            Answer::Refused(reason) => Ok(Err(reason)),
            Answer::Built(_) => bail!("the process that is measured answered something else"),
        }
    }

    fn ask(&mut self, request: &str) -> anyhow::Result<Answer> {
        const GONE: &str =
            "the process that is measured has ended: was it killed, for want of memory?";
        let requests = self.requests.as_mut().context(GONE)?;
        requests.write_all(request.as_bytes()).context(GONE)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context(GONE)?;
        if line.is_empty() {
            bail!(GONE);
        }
        serde_json::from_str(&line).context("the process that is measured answered no JSON")
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        drop(self.requests.take());
        // It ends when its input does; nobody waits for what it says.
        let _ = self.child.wait();
    }
}
