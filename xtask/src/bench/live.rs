//! `cargo xtask bench live`: runs in a guest, where functions can be probed.

use anyhow::Result;

use super::measure::{self, Options};
use crate::context::Context;

/// The kernel's command line.
pub(super) const APPEND: &str = "transparent_hugepage=always numa_balancing=disable";

/// Measures; gives the document's head and its tables.
pub(super) fn run(cx: &Context, options: &Options) -> Result<(String, String)> {
    let (clock, table) = measure::run(cx, "live", APPEND, options)?;
    Ok((format!("{HEAD}{clock}"), table))
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
