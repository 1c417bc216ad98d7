//! `cargo xtask report`: documents that are made from real runs.

mod walks;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use probe_lab::fetch::series;
use probe_lab::{Input, Streams};
use serde_json::{Value, json};

use crate::context::Context;
use crate::guest::{self, Lab};
use crate::{exec, say};

/// Options of `report`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Run doctor on the kernels, record their facts, and write docs/support.md and docs/walkers.md
    Support {
        /// Series to record anew; the others keep what was recorded
        #[arg(long, value_delimiter = ',', default_values = series::ALL)]
        kernels: Vec<String>,
    },
    /// Drive the walkers over both paths on the kernels, and write the table in docs/walks.md
    Walks {
        /// Series to measure anew; the others keep what was recorded
        #[arg(long, value_delimiter = ',', default_values = series::ALL)]
        kernels: Vec<String>,
    },
}

/// Makes the document.
pub(crate) fn run(cx: &Context, options: &Options) -> Result<()> {
    match &options.which {
        Which::Support { kernels } => support(cx, kernels),
        Which::Walks { kernels } => walks::run(cx, kernels),
    }
}

/// Long enough for a boot on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

fn support(cx: &Context, kernels: &[String]) -> Result<()> {
    let lab = Lab::open(cx)?;
    let made = Made {
        what: "doctor",
        folder: "probe-cli/tests/facts",
        documents: "docs/support.md and docs/walkers.md",
    };
    record(cx, kernels, &made, |series| doctor(cx, &lab, series))
}

/// What is recorded of each kernel, in a file of a folder, and the documents that are made of it.
struct Made {
    what: &'static str,
    folder: &'static str,
    documents: &'static str,
}

/// Records something of each kernel, and has the documents written.
fn record(
    cx: &Context,
    kernels: &[String],
    made: &Made,
    measure: impl Fn(&str) -> Result<Value>,
) -> Result<()> {
    let Made { what, folder, documents } = made;
    let folder = cx.workspace.root.join(folder);
    fs::create_dir_all(&folder)?;
    for series in kernels {
        let record = say::step(&format!("{what} on {series}"), || measure(series))?;
        let file = folder.join(format!("{series}.json"));
        fs::write(&file, serde_json::to_string_pretty(&record)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    // The tables are rendered by the tests that check them: one source.
    let mut cargo = cx.workspace.cargo();
    cargo.args(["test", "--quiet", "--package", "walkprobe", "--test", "support"]);
    cargo.env("UPDATE_DOCS", "1");
    exec::visible(&mut cargo).with_context(|| format!("{documents} could not be written"))
}

/// What doctor says on a kernel: the facts, and what was attached.
fn doctor(cx: &Context, lab: &Lab, series: &str) -> Result<Value> {
    let kernel = guest::choose(cx, series)?;
    let command = ["walkprobe", "doctor", "--json"].map(str::to_owned).to_vec();
    let mut machine = lab.machine(&kernel, lab.accelerator(&kernel)?, command);
    machine.timeout = Some(PATIENCE);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let streams = Streams { input: Input::None, stdout: &mut stdout, stderr: &mut stderr };
    lab.boot(&machine, streams)?;
    let mut diagnosis: Value = serde_json::from_slice(&stdout).with_context(|| {
        format!("doctor did not answer on {series}: {}", String::from_utf8_lossy(&stderr))
    })?;
    let Some(probes) = diagnosis["report"]["probes"].as_array() else {
        bail!("doctor reported no probes on {series}");
    };
    let attached: Value = probes
        .iter()
        .map(|probe| {
            let name = probe["probe"].as_str().unwrap_or_default().to_owned();
            let number = probe["attached"].as_u64().and_then(|number| usize::try_from(number).ok());
            (name, number.map_or(Value::Null, |number| probe["candidates"][number].clone()))
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    Ok(json!({ "facts": diagnosis["facts"].take(), "attached": attached }))
}
