//! The `walkprobe` command.

use std::process::ExitCode;

use clap::Parser as _;
use walkprobe::{cli::Cli, exit, output};

fn main() -> ExitCode {
    // In a guest of `walkprobe lab` this is the first process.
    if probe_lab::guest::is_called() {
        probe_lab::guest::run();
        return ExitCode::FAILURE;
    }
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            exit::code(&error)
        }
    }
}
