//! Runs other programs; those that say nothing are run by `probe_lab::exec`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
pub(crate) use probe_lab::exec::{on_path, output, shown};

/// Runs `command` with the terminal to itself; standard output stays free for our own results.
pub(crate) fn visible(command: &mut Command) -> Result<()> {
    let status =
        command.stdin(Stdio::null()).stdout(std::io::stderr()).status().with_context(|| {
            let program = command.get_program().to_string_lossy().into_owned();
            format!("cannot start `{program}`: is it installed?")
        })?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}
