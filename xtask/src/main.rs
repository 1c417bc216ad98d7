//! Everything a walkprobe developer runs: `cargo xtask --help`.

mod bench;
mod build;
mod build_ebpf;
mod cli;
mod context;
mod ebpf_stamp;
mod exec;
mod fuzz;
mod guest;
mod kernels;
mod report;
mod say;
mod setup;
mod strip;
mod test;
mod top;
mod vm;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            say::error(&error);
            ExitCode::from(cli::EXIT_TROUBLE)
        }
    }
}
