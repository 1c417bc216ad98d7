//! Runs other programs, and tells what they said when they fail.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use thiserror::Error;

/// How many of a failed program's last lines are shown.
const TAIL_LINES: usize = 15;

/// Why another program did not do what it was started for.
#[derive(Debug, Error)]
pub enum ExecError {
    /// It is not there, or may not be run.
    #[error("cannot start `{program}`: is it installed?")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("`{command}` ended with {status}:\n{said}")]
    Failed {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote.
        said: String,
    },
}

/// Runs `command` quietly and gives its standard output.
///
/// # Errors
///
/// It cannot be started, or it failed; then the last lines that it wrote are in the error.
pub fn output(command: &mut Command) -> Result<String, ExecError> {
    let Output { status, stdout, stderr } = whole_output(command)?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if !status.success() {
        let said = format!("{stdout}{}", String::from_utf8_lossy(&stderr));
        return Err(ExecError::Failed { command: shown(command), status, said: tail(&said) });
    }
    Ok(stdout)
}

/// Runs `command` quietly, whatever its exit status.
pub(crate) fn whole_output(command: &mut Command) -> Result<Output, ExecError> {
    command.stdin(Stdio::null()).output().map_err(|source| ExecError::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })
}

/// The command line as a person would type it, without the environment and the program's folder.
#[must_use]
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    std::iter::once(program.file_name().unwrap_or(program.as_os_str()))
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Where `program` is on PATH, if anywhere.
#[must_use]
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_was_said() {
        let error = output(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let text = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        assert!(tail(&text).starts_with("85\n"));
    }
}
