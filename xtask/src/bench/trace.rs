//! `cargo xtask bench trace`: runs on this machine, where it wants no rights, and in a guest.

use std::process::Command;

use anyhow::Result;
use clap::Args;
use probe_lab::fetch::series;

use super::{here, live, measure};
use crate::context::Context;
use crate::{build, say};

/// Options of `bench trace`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A series of `cargo xtask kernels`, or the path of a bzImage with BTF, for the guest
    #[arg(long, value_name = "SERIES|PATH", default_value = series::NEWEST_DEFAULT)]
    kernel: String,
}

/// Measures; gives the tables.
pub(super) fn run(cx: &Context, options: &Options) -> Result<String> {
    let files = files(cx)?;
    let (clock, loss) = measure::run_with(cx, "live", live::APPEND, &options.kernel, "loss")?;
    Ok(format!("{files}{LOSS}{clock}{loss}"))
}

/// How fast files are written and read.
fn files(cx: &Context) -> Result<String> {
    let bench = say::long_step("bench trace: building", || build::harness(cx, "--bench", "trace"))?;
    say::plain_step("bench trace: measuring", || here(&mut Command::new(bench)))
}

/// What stands before the table.
pub(super) const HEAD: &str = "\
# Writing, reading and replaying long traces

Made by `cargo xtask bench trace`; do not edit. One process with 64 MiB of memory: faults, and of 16 events a PMD split, a protection and a zap; a reading of
all of it after each 25,000 events. Each row is a process of its own, and its time is the CPU time that it used, kernel
included; its peak of memory is `VmHWM`, the program itself included.

| row | what is done |
|---|---|
| write | events become lines of a file, compressed where its name says so |
| read | lines become events again, as `export` and `stats` want them |
| replay | the same, and a session takes them in: the map of the process is kept |

Wanted were a million events a second written, and two million read and replayed. Memory must not follow the length of the file.

";

/// What stands before the table of losses.
const LOSS: &str = "
## How much is recorded before anything is lost

One process faults on base pages at an even rate, alone on the last CPU where there are several; what records runs on the others. The rate is
doubled until events are missing, and the gap is then halved three times. Each tool records every fault of this process as a line of a file in memory, with
the buffers that it has by default, and says itself how many it lost; absent are faults that are in no line, whatever it says.
All of them probe `handle_mm_fault`: walkprobe its beginning and its end, for duration and outcome; bpftrace (by fentry) and trace_pipe (by a
kprobe event) its beginning alone, with time, thread, name, address and flags. A buffer that is filled a little faster than it is
emptied takes longer than this to be full.

";
