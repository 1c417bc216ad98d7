//! `walkprobe export`: a trace in a form that other tools open.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use probe_common::probe::Family;

use crate::{
    exit::Failure,
    export::{Exporter, Format, Sink, chrome, columns::Table, csv, folded, html, perfetto},
    output,
    trace::{
        header::Header,
        open::{FileReader, open},
    },
};

const EXAMPLES: &str = "Examples:
  walkprobe export app.jsonl --to perfetto -o app.pftrace
  walkprobe export app.jsonl.zst --to html -o app.html
  walkprobe export app.jsonl.zst --to csv -o tables
  walkprobe export app.jsonl --to csv --table split | column -ts,
  walkprobe export app.jsonl --to folded | inferno-flamegraph > splits.svg";

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A trace, compressed or not; - stands for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to make of it
    #[arg(long, value_name = "FORM")]
    to: Format,
    /// Write to this file instead of standard output; the folder of the tables with csv
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// With csv: only this table; with folded: the callers of this event family [default: split]
    #[arg(
        long,
        value_name = "TABLE",
        value_parser = PossibleValuesParser::new(Table::ALL.map(Table::name)).try_map(|name| {
            Table::ALL.into_iter().find(|table| table.name() == name).ok_or("no such table")
        })
    )]
    table: Option<Table>,
}

impl Args {
    /// Where to; nothing for standard output.
    fn output(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

/// Writes the export. Of a damaged trace, what could be read is there before the error.
///
/// # Errors
/// When the trace cannot be read, the output cannot be written, or the trace has nothing of what is asked for.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut reader = open(&args.file)?;
    let target = args.output().map_or_else(|| "standard output".to_owned(), output::name);
    let failed = |error: anyhow::Error| match error.downcast::<io::Error>() {
        Ok(error) => Failure::Output { target: target.clone(), error }.into(),
        Err(error) => error,
    };
    // The output before the work: a wrong path should not cost the reading.
    let mut exporter = exporter(args, reader.header()).map_err(failed)?;
    let damage = copy(&mut reader, args, exporter.as_mut()).map_err(failed)?;
    let complaints = match &damage {
        Some(damage) => vec![format!("{damage:#}")],
        None => reader.complaints(),
    };
    let said = exporter.finish(&complaints).map_err(failed)?;
    let name = output::name(&args.file);
    // Damage is the error in the end.
    let complaints = if damage.is_some() { Vec::new() } else { complaints };
    for sentence in complaints.iter().chain(&said) {
        output::say(&format!("{name}: {sentence}"));
    }
    damage.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Reads the trace into the export; gives what is wrong with the trace.
fn copy(
    reader: &mut FileReader,
    args: &Args,
    exporter: &mut dyn Exporter,
) -> anyhow::Result<Option<anyhow::Error>> {
    let name = output::name(&args.file);
    loop {
        match reader.next_input().with_context(|| format!("cannot read {name}")) {
            Ok(Some(input)) => exporter.input(input)?,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        }
    }
}

fn exporter(args: &Args, header: &Header) -> anyhow::Result<Box<dyn Exporter>> {
    let path = args.output();
    match (args.to, args.table) {
        (Format::Csv, None) => match path {
            Some(path) => {
                Table::ALL
                    .iter()
                    .try_for_each(|&table| differs(&csv::file(path, table), &args.file))?;
                Ok(csv::folder(path)?)
            }
            None => {
                bail!("csv makes several files: name a folder with -o, or one table with --table")
            }
        },
        (Format::Csv, Some(table)) => Ok(csv::table(table, sink(args)?)?),
        (Format::Folded, None) => Ok(folded::exporter(Family::Split, sink(args)?)),
        (Format::Folded, Some(Table::Family(family))) => Ok(folded::exporter(family, sink(args)?)),
        (Format::Folded, Some(table)) => {
            bail!("{} have no callers: name an event family with --table", table.name())
        }
        (_, Some(_)) => bail!("--table is for csv and folded: other forms have everything"),
        (Format::Html, None) => Ok(html::exporter(header, sink(args)?)),
        (Format::Chrome, None) => Ok(chrome::exporter(header, sink(args)?)?),
        (Format::Perfetto, None) if path.is_none() && output::is_terminal() => {
            bail!("this format is not text: name a file with -o")
        }
        (Format::Perfetto, None) => Ok(perfetto::exporter(header, sink(args)?)?),
    }
}

/// Opens the output.
fn sink(args: &Args) -> anyhow::Result<Sink> {
    let Some(path) = args.output() else { return Ok(Sink::new(Box::new(io::stdout()))) };
    differs(path, &args.file)?;
    Ok(Sink::new(Box::new(output::create(path)?)))
}

/// Fails when an output is the trace itself.
fn differs(output: &Path, trace: &Path) -> anyhow::Result<()> {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    if identity(output).is_some_and(|found| Some(found) == identity(trace)) {
        bail!("{} is the trace itself: choose another name", output::name(output));
    }
    Ok(())
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
