//! The `walkprobe` command.

use std::process::ExitCode;

use clap::Parser as _;
use walkprobe::{cli::Cli, exit, output};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            exit::code(&error)
        }
    }
}
