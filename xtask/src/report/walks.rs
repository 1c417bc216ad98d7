//! `cargo xtask report walks`: hugetlb against generic, on every kernel.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use probe_lab::{Accelerator, Input, Streams};
use serde_json::{Map, Value, json};

use super::{Made, record};
use crate::context::Context;
use crate::guest::{self, Lab};

/// Long enough for all runs in an emulated guest on a busy machine.
const PATIENCE: Duration = Duration::from_mins(20);
const HANG_AFTER: Duration = Duration::from_mins(5);

/// Counts while a space is walked, and prints the report between two lines. What is driven waits until everything is
/// attached.
const SCRIPT: &str = r#"
count() {
    space=$1; rounds=$2; shift 2
    walkers=""; for walker in "$@"; do walkers="$walkers --walker $walker"; done
    rm -f /tmp/in /tmp/out /tmp/err; mkfifo /tmp/in; : > /tmp/out
    walkprobe workload walks "$space" --rounds "$rounds" --wait $walkers < /tmp/in > /tmp/out &
    exec 3> /tmp/in
    until grep -q '^ready' /tmp/out; do sleep 0.1; done
    pid=$(sed -n 's/^ready //p' /tmp/out)
    : > /tmp/err
    walkprobe walks -p "$pid" --json $walkers > /tmp/report 2> /tmp/err &
    counter=$!
    until grep -q counting /tmp/err; do kill -0 $counter || { cat /tmp/err >&2; exit 1; }; sleep 0.1; done
    echo go >&3
    until grep -q '^{' /tmp/out; do sleep 0.1; done
    kill -INT $counter; wait $counter || exit 1
    exec 3>&-
    wait
    echo "space $space"; cat /tmp/report; echo "end"
}
callbacks="smaps numa_maps clear_refs pagemap pagemap_scan mempolicy mincore mlock cold free willneed"
functions="protect mremap move_pages populate_advice"
count mixed 60 $callbacks
for space in thp hugetlb-2m; do count $space 60 $functions; done
"#;

/// Measures on these kernels, records it, and has the table written.
pub(super) fn run(cx: &Context, kernels: &[String]) -> Result<()> {
    let lab = Lab::open(cx)?;
    let made = Made { what: "walks", folder: "probe-cli/tests/walks", documents: "docs/walks.md" };
    record(cx, kernels, &made, |series| measure(cx, &lab, series))
}

/// What the walkers came to on one kernel.
fn measure(cx: &Context, lab: &Lab, series: &str) -> Result<Value> {
    let kernel = guest::choose(cx, series)?;
    let accelerator = lab.accelerator(&kernel)?;
    let command = ["sh", "-c", SCRIPT].map(str::to_owned).to_vec();
    let mut machine = lab.machine(&kernel, accelerator, command);
    guest::with_huge_pages(&mut machine);
    machine.append.push_str(" numa_balancing=disable");
    if accelerator == Accelerator::Tcg {
        // One instruction is one nanosecond, whatever else this machine does.
        machine.qemu_options.extend(["-icount", "shift=0"].map(str::to_owned));
        machine.cpus = 1;
    }
    machine.timeout = Some(PATIENCE);
    machine.hang_after = HANG_AFTER;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let streams = Streams { input: Input::None, stdout: &mut stdout, stderr: &mut stderr };
    let exit = lab.boot(&machine, streams)?;
    let text = String::from_utf8(stdout).context("the reports are no text")?;
    if exit.status != 0 {
        bail!("it ended with {}: {}", exit.status, String::from_utf8_lossy(&stderr));
    }
    let mut spaces: Map<String, Value> = Map::new();
    let mut release = Value::Null;
    for part in text.split("space ").skip(1) {
        let (space, rest) = part.split_once('\n').context("a report without a space")?;
        let (report, _) = rest.rsplit_once("end").context("a report without an end")?;
        let report: Value = serde_json::from_str(report).context("a report is no JSON")?;
        release = report["kernel"].clone();
        let rows = spaces.entry(space).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(rows) = rows {
            rows.extend(flat(&report));
        }
    }
    let clock = match accelerator {
        Accelerator::Tcg => "instructions",
        Accelerator::Kvm => "nanoseconds",
    };
    Ok(json!({ "release": release, "clock": clock, "spaces": spaces }))
}

/// The rows of all walkers that were called, without what is not compared.
fn flat(report: &Value) -> Vec<Value> {
    let walkers = report["walkers"].as_array().into_iter().flatten();
    let rows = walkers.flat_map(|walker| {
        let rows = walker["rows"].as_array().into_iter().flatten();
        rows.map(|row| {
            let mut row = row.clone();
            if let Some(row) = row.as_object_mut() {
                row.retain(|name, _| {
                    !["durations", "calls_per_second", "leaves_per_second"].contains(&name.as_str())
                });
                row.insert("walker".to_owned(), walker["name"].clone());
            }
            row
        })
    });
    rows.collect()
}
