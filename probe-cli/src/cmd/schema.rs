//! `walkprobe schema`: the JSON Schema of the lines of a trace.

use std::process::ExitCode;

use crate::{output, trace};

const EXAMPLES: &str = "Examples:
  walkprobe schema > trace.schema.json
  walkprobe schema | jq '.\"$defs\" | keys'";

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args;

/// Prints the schema.
///
/// # Errors
/// When standard output cannot be written.
pub fn run() -> anyhow::Result<ExitCode> {
    output::print(&trace::schema::text())?;
    Ok(ExitCode::SUCCESS)
}
