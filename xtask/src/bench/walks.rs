//! `cargo xtask bench walks`: runs in a guest, where functions can be probed.

use anyhow::Result;

use super::measure::{self, Options};
use crate::context::Context;

/// Measures; gives the document's head and its tables.
pub(super) fn run(cx: &Context, options: &Options) -> Result<(String, String)> {
    let append = "transparent_hugepage=always numa_balancing=disable hugepagesz=2M hugepages=64";
    let (clock, table) = measure::run(cx, "walks", append, options)?;
    Ok((format!("{HEAD}{clock}"), table))
}

const HEAD: &str = "\
# What counting walkers costs

Made by `cargo xtask bench walks`, which runs in a guest; do not edit. A process with base pages, THPs and hugetlb pages of 2 MiB
(`walkprobe workload walks mixed`) reads its smaps again and again, in four settings that take turns:

| setting | what is attached |
|---|---|
| nothing | nothing |
| walkprobe walks | `walkprobe walks --walker smaps`: at the entry and the exit of both functions; sums, a histogram by path and level of leaves with errors of at most 3.2 %, and who walks whom |
| bpftrace | a script with a histogram by powers of two for each function, at entry and exit |
| function_graph | ftrace's tracer of that name, on both functions: two records for each call |

What is measured is the CPU time of the process that walks: eBPF programs in it are included, other processes are not. Each cell has the
median of all batches, and in brackets the range of the half of them that lies in the middle; what is added is the difference to the batch of
the same round and place with nothing attached, by the calls in it. How many calls are made follows from what is mapped where
(pagemap tells it), and from what the workload does.

A tool is attached when it says so: walkprobe when all is in place, bpftrace at most 0.1 s later than that.

What is known of the reasons where a target below is missed:

* Memory is the same with two functions and with all walkers, so that it goes into what is done once. For each object that it loads aya parses all types of
  the kernel's BTF (`EbpfLoader::new`), also when it is told not to use them.
* Time to attach has that part too, with reading all symbols (/proc/kallsyms) and the relocation of the programs of all sites in the object, and a part for
  each function, whose programs are loaded, verified and attached. In an emulated guest a second is 10^9 instructions, which a processor executes in a part
  of a second.

";
