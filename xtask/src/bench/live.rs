//! `cargo xtask bench live`: runs in a guest, where functions can be probed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use probe_lab::{Accelerator, AddedFile, Input, Streams};

use crate::context::Context;
use crate::guest::{self, Lab};
use crate::setup::{self, Bpftrace};
use crate::{build, say};

/// Options of `bench live`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A series of `cargo xtask kernels`, or the path of a bzImage with BTF
    #[arg(long, value_name = "SERIES|PATH", default_value = guest::default_series())]
    kernel: String,
    /// How often all settings take turns
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
}

/// The path of the program that measures, and of bpftrace's folder, in the guest.
const BENCH: &str = "/bin/bench-live";
const BPFTRACE: &str = "/opt/bpftrace";
/// Tell that program where walkprobe and bpftrace are.
const WALKPROBE_VARIABLE: &str = "WALKPROBE_BIN";
const BPFTRACE_VARIABLE: &str = "WALKPROBE_BPFTRACE";
/// The libraries of bpftrace lie in memory, LLVM works in it, and 64 GiB of huge pages of zeroes have
/// a table in reserve for each.
const MEMORY: &str = "5G";
/// bpftrace starts once in each round, and LLVM takes long where instructions are emulated.
const TIMEOUT: Duration = Duration::from_mins(40);
const HANG_AFTER: Duration = Duration::from_mins(3);

/// Measures; gives the document's head and its tables.
pub(super) fn run(cx: &Context, options: &Options) -> Result<(String, String)> {
    let lab = Lab::open(cx)?;
    let bpftrace = setup::bpftrace(cx)?;
    let bench = say::long_step("bench live: building", || build::harness(cx, "--bench", "live"))?;
    let kernel = guest::choose(cx, &options.kernel)?;
    let accelerator = lab.accelerator(cx, &kernel)?;
    let mut machine =
        lab.machine(&kernel, accelerator, vec![BENCH.to_owned(), options.rounds.to_string()]);
    MEMORY.clone_into(&mut machine.memory);
    "transparent_hugepage=always numa_balancing=disable".clone_into(&mut machine.append);
    if accelerator == Accelerator::Tcg {
        // One instruction is one nanosecond, whatever else this machine does.
        machine.qemu_options.extend(["-icount", "shift=0"].map(str::to_owned));
        machine.cpus = 1;
    }
    machine.add.push(AddedFile { source: bench, destination: BENCH.into() });
    machine.add.push(AddedFile { source: bpftrace.folder, destination: BPFTRACE.into() });
    let start = Bpftrace::command(Path::new(BPFTRACE)).join(" ");
    machine.environment.push((WALKPROBE_VARIABLE.to_owned(), "/bin/walkprobe".to_owned()));
    machine.environment.push((BPFTRACE_VARIABLE.to_owned(), start));
    machine.timeout = Some(TIMEOUT);
    machine.hang_after = HANG_AFTER;

    let (mut stdout, mut stderr) = (Vec::new(), std::io::stderr());
    let streams = Streams { input: Input::None, stdout: &mut stdout, stderr: &mut stderr };
    let exit = say::plain_step("bench live: measuring", || {
        Ok(probe_lab::boot(&lab.qemu, &machine, streams)?)
    })?;
    if exit.status != 0 {
        bail!("the benchmark ended with exit status {}", exit.status);
    }
    let table = String::from_utf8(stdout).context("the benchmark printed no text")?;
    Ok((format!("{HEAD}{}", clock(accelerator)), table))
}

fn clock(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Tcg => EMULATED,
        Accelerator::Kvm => VIRTUAL,
    }
}

const HEAD: &str = "\
# What watching costs

Made by `cargo xtask bench live`, which runs in a guest; do not edit. A process does the same batch of operations again and
again, in four settings that take turns:

| setting | what is attached |
|---|---|
| nothing | nothing |
| walkprobe | `walkprobe top -p PID`, at the beginning and the end of each function, for its duration and a record of what it did |
| bpftrace, by function | a script that only counts the calls of the same functions, a number for each: `@[probe] = count()` |
| bpftrace, one number | the same with one number for all of them, `@ = count()`: about the least that being attached costs |

Which functions these are, `walkprobe doctor --json` tells. A batch is only measured when all of them are attached to, or none any
more (`enabled_functions` of tracefs). What is measured is the CPU time of the thread that does the operations: interrupts and eBPF
programs in it are included, other processes are not. Each cell has the median of all batches, and in brackets the range of the half of
them that lies in the middle; what is added is the difference to the batch of the same round and place with nothing attached. A kind
whose operations take much longer than what is added (a THP is filled with zeroes) says little about the latter.

";

const EMULATED: &str = "\
The guest was emulated, with a clock that goes on by one nanosecond with each instruction (`-icount shift=0`): **ns are
instructions here**. So the numbers repeat, but caches, branches and the price of atomic instructions do not show; compare
within a row.

";

const VIRTUAL: &str = "\
The guest's instructions were executed by this machine's processor (KVM): compare within a row.

";
