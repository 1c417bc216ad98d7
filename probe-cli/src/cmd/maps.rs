//! `walkprobe maps`: the leaf map of processes.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::ArgGroup;

use super::select::{self, Choice};
use crate::{
    exit::Failure,
    maps::{
        Look,
        csv::Csv,
        source::{MapError, MapSource, Wants},
        table::{Options, Sort},
        view::{Json, Runs, Svg, Tables, View},
    },
    output, tui,
};

const EXAMPLES: &str = "Examples:
  walkprobe maps 1234
  walkprobe maps --comm postgres --sort coverage --no-holes
  walkprobe maps 1234 --json > before.json
  walkprobe maps 1234 --runs --marks
  walkprobe maps --cgroup /system.slice/db.service --svg db.svg

docs/maps.md explains the columns, glyphs and fields.";

/// Arguments of `maps`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("which").required(true).args(["pid", "all", "comm", "cgroup"]))]
#[command(group = ArgGroup::new("form").args(["json", "csv", "runs"]))]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the command line")]
pub struct Args {
    /// These processes
    #[arg(value_name = "PID")]
    pid: Vec<u32>,
    /// All processes, this one left out
    #[arg(long)]
    all: bool,
    /// All processes with this name
    #[arg(long, value_name = "NAME")]
    comm: Option<String>,
    /// All processes in this cgroup and below it
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
    /// JSON, a line for each process; `walkprobe diff` reads it
    #[arg(long)]
    json: bool,
    /// Comma-separated values, a line for each run
    #[arg(long)]
    csv: bool,
    /// Every run instead of a line for each VMA
    #[arg(long)]
    runs: bool,
    /// Draw the whole address space into this file; no table unless another form is asked for
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Count leaves that are young, dirty, soft-dirty, writable, write-protected by userfaultfd
    #[arg(long)]
    marks: bool,
    /// Tell the folio's size beside the leaf's: a 2M folio mapped by 4K leaves shows as such
    #[arg(long)]
    folios: bool,
    /// Leave out holes, and in the table VMAs that are one hole
    #[arg(long)]
    no_holes: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    ascii: bool,
    /// Order of the table's lines
    #[arg(long, value_enum, default_value_t, conflicts_with = "form")]
    sort: Sort,
}

/// Shows the leaf maps that a source reads, on standard output or in a file.
///
/// # Errors
/// When a process that was asked for cannot be read, or the output cannot be written.
pub fn run(args: &Args, source: &mut dyn MapSource) -> anyhow::Result<ExitCode> {
    let pids = args.pids()?;
    // The output before the work: a wrong path should not cost a scan.
    let mut views = args.views(io::stdout())?;
    show(args, &pids, source, &mut views)?;
    Ok(ExitCode::SUCCESS)
}

/// The name of standard output in messages.
const STDOUT: &str = "standard output";

/// A form, and where it goes to.
type Target<'a> = (String, Box<dyn View + 'a>);

impl Args {
    /// What is to be read.
    #[must_use]
    pub fn wants(&self) -> Wants {
        Wants { marks: self.marks, folios: self.folios }
    }

    /// The processes.
    fn pids(&self) -> anyhow::Result<Vec<u32>> {
        let (choice, none) = match (&self.comm, &self.cgroup) {
            (Some(comm), _) => (Choice::Comm(comm), format!("no process is called {comm:?}")),
            (_, Some(path)) => (Choice::Cgroup(path), format!("no process is in cgroup {path:?}")),
            _ if self.all => (Choice::All, "there is no other process".to_owned()),
            _ => return Ok(self.pid.clone()),
        };
        let pids = select::pids(&choice)?;
        if pids.is_empty() { Err(Failure::NoProcess(none).into()) } else { Ok(pids) }
    }

    /// The forms asked for; all but the picture go to `out`.
    fn views<'a>(&self, out: impl Write + 'a) -> anyhow::Result<Vec<Target<'a>>> {
        let look = Look {
            ascii: self.ascii,
            color: output::is_terminal() && tui::Options::from_environment().color,
            // Elsewhere crossterm would run another program to find it out.
            width: output::is_terminal()
                .then(crossterm::terminal::size)
                .and_then(Result::ok)
                .map(|(width, _)| width),
        };
        let mut views: Vec<Target<'a>> = Vec::new();
        if let Some(path) = &self.svg {
            let file = BufWriter::new(output::create(path)?);
            views.push((output::name(path), Box::new(Svg::new(file))));
        }
        let out = BufWriter::new(out);
        let no_holes = self.no_holes;
        let view: Box<dyn View + 'a> = if self.json {
            Box::new(Json::new(out, no_holes))
        } else if self.csv {
            let csv = Csv::new(out, no_holes);
            Box::new(csv.map_err(|error| Failure::Output { target: STDOUT.to_owned(), error })?)
        } else if self.runs {
            Box::new(Runs::new(out, no_holes, look))
        } else if views.is_empty() {
            Box::new(Tables::new(out, Options { sort: self.sort, no_holes }, look))
        } else {
            return Ok(views);
        };
        views.push((STDOUT.to_owned(), view));
        Ok(views)
    }
}

/// Reads one process after another, and adds each to every form.
///
/// A process that cannot be read does not stop the others. It is an error in the end when it was
/// asked for by its PID, or when no process could be read.
fn show(
    args: &Args,
    pids: &[u32],
    source: &mut dyn MapSource,
    views: &mut [Target<'_>],
) -> anyhow::Result<()> {
    let wants = args.wants();
    let by_pid = !args.pid.is_empty();
    let mut first: Option<MapError> = None;
    let mut shown = 0_u64;
    for &pid in pids {
        match source.read(pid, wants) {
            Ok(set) => {
                each(views, |view| view.add(&set))?;
                shown += 1;
            }
            Err(error) if first.is_none() && (by_pid || !error.is_expected()) => {
                first = Some(error);
            }
            Err(error) if by_pid || !error.is_expected() => {
                output::say(&format!("{:#}", anyhow::Error::new(error)));
            }
            Err(_) => {}
        }
    }
    each(views, View::finish)?;
    match first {
        Some(error) if by_pid || shown == 0 => Err(error.into_failure()),
        Some(error) => {
            output::say(&format!("{:#}", anyhow::Error::new(error)));
            Ok(())
        }
        None if shown == 0 => {
            Err(Failure::NoProcess("no process chosen has an address space".to_owned()).into())
        }
        None => Ok(()),
    }
}

#[expect(clippy::elidable_lifetime_names, reason = "without the name the views must live forever")]
fn each<'a>(
    views: &mut [Target<'a>],
    mut act: impl FnMut(&mut (dyn View + 'a)) -> io::Result<()>,
) -> Result<(), Failure> {
    for (target, view) in views {
        act(view.as_mut()).map_err(|error| Failure::Output { target: target.clone(), error })?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "maps_tests.rs"]
mod tests;
