//! `walkprobe workload`: loads that do known numbers of kernel operations.

use std::{env, io, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use super::space::SpaceSize;
use crate::{
    output,
    workload::{
        self, Demo, Request,
        storm::{self, MOST_THREADS, Storm},
        walks::{self, DRIVERS, Driver, SPACES, Space, Walks},
    },
};

const EXIT_FAILED: u8 = 1;
const EXIT_SKIPPED: u8 = 3;

/// Do exactly known numbers of page faults, splits, collapses and page-table walks
///
/// Needs no eBPF; hugetlb steps need a pool of free pages.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Do some steps once, and report the events that they cause and where
    Run(Run),
    /// Go on and on with a gentle mix of all steps, in a process named walkprobe-demo
    Demo(DemoArgs),
    /// Do random operations on an address space from several threads, with quiet points
    Storm(StormArgs),
    /// Drive page-table walkers over a known address space, and report which calls that makes
    Walks(WalksArgs),
    /// Build spaces and drive walkers as requests on standard input say (used by bench)
    #[command(name = "__serve", hide = true)]
    Serve,
    /// Explain the steps
    List,
}

/// Do some steps once, and report the events that they cause and where
#[derive(Debug, Parser)]
#[command(after_help = "\
Exit status: 0 when all was done, 1 when a step failed, 3 when a step was skipped because this
machine lacks something.

Examples:
  walkprobe workload run thp:4 split-munmap:2
  walkprobe workload run --json hugetlb-2m:8 smaps:10
  walkprobe trace -- walkprobe workload run collapse:4")]
struct Run {
    /// What to do, and how often (once without a number); `walkprobe workload list` explains
    #[arg(required = true, value_name = "STEP[:N]")]
    steps: Vec<Request>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// Go on and on with a gentle mix of all steps, in a process named walkprobe-demo
#[derive(Debug, Parser)]
#[command(after_help = "\
Ends at SIGINT, SIGTERM, SIGHUP, or after --duration.

Examples:
  walkprobe workload demo
  walkprobe workload demo --rate 10 --duration 60")]
struct DemoArgs {
    /// Stop after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Rounds per second, from 0.01 to 100; each round does every step once or a few times
    #[arg(long, value_name = "PER_SECOND", default_value_t = 4.0)]
    rate: f64,
    /// Stop when the process that started it dies
    #[arg(long)]
    with_parent: bool,
}

/// Do random operations on an address space from several threads, with quiet points
///
/// What each thread does follows from the seed alone. At each quiet point all threads stand still, `quiet K` is
/// written, and it goes on at the next line of standard input. At the end a line for each operation tells how
/// often it was done, and how often the kernel refused it; or why it was skipped.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  walkprobe workload storm --list
  walkprobe workload storm --seed 7
  yes | walkprobe workload storm --seed 7 --threads 2 --quiet-every 100")]
struct StormArgs {
    /// What the choices follow from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Operations of each thread
    #[arg(long, value_name = "N", default_value_t = 1000)]
    operations: u64,
    /// Threads
    #[arg(long, value_name = "T", default_value_t = 3,
        value_parser = clap::value_parser!(u8).range(1..=MOST_THREADS as i64))]
    threads: u8,
    /// A quiet point after so many operations of each thread; 0 for none
    #[arg(long, value_name = "Q", default_value_t = 0)]
    quiet_every: u64,
    /// Where its file lies, which has no name (the folder for temporary files by default)
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Also what concerns the whole machine: compaction of its memory
    #[arg(long)]
    whole_machine: bool,
    /// Explain the operations, and do none
    #[arg(long)]
    list: bool,
}

/// Drive page-table walkers over a known address space, and report which calls that makes
#[derive(Debug, Parser)]
#[command(after_help = "\
With --wait it writes `ready PID`, and begins at a line of standard input; it reports as JSON, and frees the space at the
next line.

Examples:
  walkprobe workload walks --list
  walkprobe workload walks thp --walker smaps --walker mincore --rounds 100
  walkprobe workload walks hugetlb-2m --blocks 16 --json")]
struct WalksArgs {
    /// Which address space: --list explains; none for the rest of the process alone
    #[arg(value_name = "SPACE", value_parser = space, required_unless_present = "list")]
    space: Option<Named>,
    /// Only this walker; can be given several times
    #[arg(long, value_name = "NAME", value_parser = driver)]
    walker: Vec<&'static Driver>,
    /// How often each walker is driven
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rounds: u64,
    #[command(flatten)]
    size: SpaceSize,
    /// Wait for a line of standard input before it begins, and before it ends
    #[arg(long)]
    wait: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
    /// Explain spaces and walkers, and do nothing
    #[arg(long)]
    list: bool,
}

/// A space, or none.
#[derive(Clone, Copy, Debug)]
struct Named(Option<&'static Space>);

fn space(name: &str) -> Result<Named, String> {
    let found = SPACES.iter().find(|space| space.name == name);
    if found.is_none() && name != "none" {
        let names: Vec<_> = SPACES.iter().map(|space| space.name).collect();
        return Err(format!("there is no such space; spaces are: {}, none", names.join(", ")));
    }
    Ok(Named(found))
}

fn driver(name: &str) -> Result<&'static Driver, String> {
    DRIVERS.iter().find(|driver| driver.walker == name).ok_or_else(|| {
        let names: Vec<_> = DRIVERS.iter().map(|driver| driver.walker).collect();
        format!("it cannot be driven; walkers are: {}", names.join(", "))
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a duration is a number of seconds, such as 2.5".to_owned())
}

/// Does what the arguments say, and writes to standard output.
///
/// # Errors
/// Standard output cannot be written, or the demo cannot start.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List => print(workload::write_list)?,
        Command::Demo(args) => {
            let demo =
                Demo { rate: args.rate, duration: args.duration, with_parent: args.with_parent };
            let rounds = demo.run(&mut io::stdout().lock())?;
            output::print(&format!("{rounds} rounds\n"))?;
        }
        Command::Storm(args) if args.list => print(storm::write_table)?,
        Command::Storm(args) => storm(args)?,
        Command::Walks(args) if args.list => print(walks::write_list)?,
        Command::Serve => {
            walks::serve::serve(io::stdin().lock(), &mut io::stdout().lock())?;
        }
        Command::Walks(args) => walks(args)?,
        Command::Run(args) => {
            let report = workload::run(&args.steps);
            print(|out| if args.json { report.write_json(out) } else { report.write_text(out) })?;
            return Ok(match (report.has_failed(), report.has_skipped()) {
                (true, _) => EXIT_FAILED.into(),
                (false, true) => EXIT_SKIPPED.into(),
                (false, false) => ExitCode::SUCCESS,
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn storm(args: &StormArgs) -> anyhow::Result<()> {
    let storm = Storm {
        seed: args.seed,
        operations: args.operations,
        threads: args.threads.into(),
        quiet_every: args.quiet_every,
        folder: args.folder.clone().unwrap_or_else(env::temp_dir),
        whole_machine: args.whole_machine,
    };
    let tally = storm.run(&mut io::stdin().lock(), &mut io::stdout().lock())?;
    print(|out| tally.write(out))
}

fn walks(args: &WalksArgs) -> anyhow::Result<()> {
    let walks = Walks {
        space: args.space.and_then(|named| named.0),
        walkers: args.walker.clone(),
        rounds: args.rounds,
        blocks: args.size.blocks.into(),
        wait: args.wait,
    };
    let report = walks.run(&mut io::stdin().lock(), &mut io::stdout().lock())?;
    if args.wait {
        return Ok(());
    }
    if args.json {
        return Ok(output::print(&(serde_json::to_string_pretty(&report)? + "\n"))?);
    }
    print(|out| report.write_text(out))
}

fn print(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> anyhow::Result<()> {
    let mut text = Vec::new();
    write(&mut text)?;
    Ok(output::print(&String::from_utf8_lossy(&text))?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Args;

    #[derive(Debug, Parser)]
    #[command(name = "walkprobe-workload")]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    fn help(words: &[&str]) -> String {
        Alone::try_parse_from(words).unwrap_err().to_string()
    }

    #[test]
    fn help_has_examples() {
        for words in [["", "run", "--help"], ["", "demo", "--help"]] {
            assert!(help(&words).contains("Examples:"), "{words:?}");
        }
    }

    #[test]
    fn wrong_words_are_refused() {
        assert!(help(&["", "run", "tph:4"]).contains("there is no step `tph`"));
        assert!(help(&["", "demo", "--duration=-1"]).contains("a number of seconds"));
        assert!(Alone::try_parse_from(["", "run"]).is_err());
        assert!(Alone::try_parse_from(["", "run", "thp:4", "--json"]).is_ok());
    }
}
