//! Runs a bench of cargo's in a guest, where functions can be probed, beside bpftrace.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use probe_lab::fetch::series;
use probe_lab::{Accelerator, AddedFile, Input, Streams};

use crate::context::Context;
use crate::guest::{self, Lab};
use crate::setup::{self, Bpftrace};
use crate::{build, say};

/// Options of what is measured in a guest.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A series of `cargo xtask kernels`, or the path of a bzImage with BTF
    #[arg(long, value_name = "SERIES|PATH", default_value = series::NEWEST_DEFAULT)]
    kernel: String,
    /// How often all settings take turns
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
}

/// The folder of bpftrace in the guest.
const BPFTRACE: &str = "/opt/bpftrace";
/// Tell the program that measures where walkprobe and bpftrace are.
const WALKPROBE_VARIABLE: &str = "WALKPROBE_BIN";
const BPFTRACE_VARIABLE: &str = "WALKPROBE_BPFTRACE";
/// The libraries of bpftrace lie in memory, LLVM works in it, and 64 GiB of huge pages of zeroes have
/// a table in reserve for each.
const MEMORY: &str = "5G";
/// bpftrace starts once in each round, and LLVM takes long where instructions are emulated.
const TIMEOUT: Duration = Duration::from_mins(40);
const HANG_AFTER: Duration = Duration::from_mins(3);

/// Runs the bench in a guest with this kernel command line; gives what its clock is, and what it printed.
pub(super) fn run(
    cx: &Context,
    bench: &str,
    append: &str,
    options: &Options,
) -> Result<(&'static str, String)> {
    run_with(cx, bench, append, &options.kernel, &options.rounds.to_string())
}

/// The same with this kernel, and with this argument in the place of the rounds.
pub(super) fn run_with(
    cx: &Context,
    bench: &str,
    append: &str,
    kernel: &str,
    argument: &str,
) -> Result<(&'static str, String)> {
    let lab = Lab::open(cx)?;
    let bpftrace = setup::bpftrace(cx)?;
    let program = say::long_step(&format!("bench {bench}: building"), || {
        build::harness(cx, "--bench", bench)
    })?;
    let kernel = guest::choose(cx, kernel)?;
    let accelerator = lab.accelerator(&kernel)?;
    let path = format!("/bin/bench-{bench}");
    let mut machine = lab.machine(&kernel, accelerator, vec![path.clone(), argument.to_owned()]);
    MEMORY.clone_into(&mut machine.memory);
    append.clone_into(&mut machine.append);
    if accelerator == Accelerator::Tcg {
        // One instruction is one nanosecond, whatever else this machine does.
        machine.qemu_options.extend(["-icount", "shift=0"].map(str::to_owned));
        machine.cpus = 1;
    }
    machine.add.push(AddedFile { source: program, destination: path.into() });
    machine.add.push(AddedFile { source: bpftrace.folder, destination: BPFTRACE.into() });
    let start = Bpftrace::command(Path::new(BPFTRACE)).join(" ");
    machine.environment.push((WALKPROBE_VARIABLE.to_owned(), "/bin/walkprobe".to_owned()));
    machine.environment.push((BPFTRACE_VARIABLE.to_owned(), start));
    machine.timeout = Some(TIMEOUT);
    machine.hang_after = HANG_AFTER;

    let (mut stdout, mut stderr) = (Vec::new(), std::io::stderr());
    let streams = Streams { input: Input::None, stdout: &mut stdout, stderr: &mut stderr };
    let exit =
        say::plain_step(&format!("bench {bench}: measuring"), || Ok(lab.boot(&machine, streams)?))?;
    if exit.status != 0 {
        bail!("the benchmark ended with exit status {}", exit.status);
    }
    let table = String::from_utf8(stdout).context("the benchmark printed no text")?;
    Ok((clock(accelerator), table))
}

fn clock(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Tcg => EMULATED,
        Accelerator::Kvm => VIRTUAL,
    }
}

const EMULATED: &str = "\
The guest was emulated, with a clock that goes on by one nanosecond with each instruction (`-icount shift=0`): **ns are
instructions here**. So the numbers repeat, but caches, branches and the price of atomic instructions do not show; compare
within a row.

";

const VIRTUAL: &str = "\
The guest's instructions were executed by this machine's processor (KVM): compare within a row.

";
