//! `cargo xtask vm`: runs one command under another kernel.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use probe_lab::{AddedFile, Input, Streams};

use crate::context::Context;
use crate::guest::{self, Lab};

/// Options of `vm`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: that of the command; 122 after a kernel panic, 123 when the guest hangs, 124 when the command
exceeds --timeout, 125 when the guest could not be started.

Examples:
  cargo xtask vm -- walkprobe doctor
  cargo xtask vm --kernel 5.10 -- sh
  cargo xtask vm --append 'transparent_hugepage=always hugepagesz=1G hugepages=2' --memory 4G -- sh -c 'free -m'")]
pub(crate) struct Options {
    /// A series of `cargo xtask kernels`, or the path of a bzImage with BTF
    #[arg(long, value_name = "SERIES|PATH", default_value = guest::default_series())]
    kernel: String,
    /// Memory of the guest
    #[arg(long, default_value = "2G")]
    memory: String,
    /// CPUs of the guest
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Words for the kernel's command line; `hugepages=` replaces the default of 64 pages of 2 MiB
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Put a file or folder into the guest, by default in /root
    #[arg(long, value_name = "SRC[:DEST]")]
    add: Vec<AddedFile>,
    /// Load a module of the kernel's package, and those it needs
    #[arg(long, value_name = "NAME")]
    module: Vec<String>,
    /// Stop the guest when the command runs longer than this
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// What to run
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Boots, runs, and gives the command's exit status.
pub(crate) fn run(cx: &Context, options: Options) -> Result<ExitCode> {
    let lab = Lab::open(cx)?;
    let kernel = guest::choose(cx, &options.kernel)?;
    let accelerator = lab.accelerator(cx, &kernel)?;
    let mut machine = lab.machine(&kernel, accelerator, options.command);
    machine.memory = options.memory;
    machine.cpus = options.cpus;
    machine.append = options.append;
    machine.add.extend(options.add);
    machine.load = options.module;
    machine.timeout = options.timeout.map(Duration::from_secs);
    let streams = Streams {
        input: Input::Standard,
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
    };
    Ok(guest::exit_code(probe_lab::boot(&lab.qemu, &machine, streams)))
}
