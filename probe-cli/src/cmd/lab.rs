//! `walkprobe lab`: boots another kernel, and runs walkprobe or any other command in it.

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::CommandFactory as _;
use probe_lab::{AddedFile, CopiedFile, Error, Exit, Input, Streams, fetch::series};

use super::guest::{TROUBLE, accelerator, count_instructions, failed, lab, memory};
use crate::{cli::Cli, output};

const EXAMPLES: &str = "\
Where the first of ARGS is a subcommand of walkprobe, walkprobe is run with ARGS; else they are any
command of the guest, which has walkprobe and busybox. Kernels and QEMU come from a cache folder
($WALKPROBE_CACHE, else ~/.cache/walkprobe), which is filled from Debian's packages. docs/lab.md tells
more, and what --deterministic can show.

Exit status: that of the command; 122 after a kernel panic, 123 when the guest hangs, 124 when the
command exceeds --timeout, 125 when the guest cannot be booted, or when a file could not be copied
out although the command went well

Examples:
  walkprobe lab -- doctor
  walkprobe lab --kernel arch/x86/boot/bzImage -- doctor --json
  walkprobe lab --kernel 6.1 -- sh
  walkprobe lab --copy-out app.jsonl -- trace -o app.jsonl -- walkprobe workload run thp:4
  walkprobe lab --deterministic --timeout 600 -- workload walks thp";

/// QEMU emulates them one after another; more than that is a mistake.
const MOST_CPUS: i64 = 64;

/// Arguments of `lab`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The kernel: the path of a bzImage, or a series of Debian's kernels
    #[arg(long, value_name = "PATH|SERIES", default_value = series::NEWEST_DEFAULT)]
    kernel: String,
    /// Memory of the guest
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = memory)]
    memory: String,
    /// CPUs of the guest
    #[arg(long, value_name = "N", default_value_t = 2, conflicts_with = "deterministic",
        value_parser = clap::value_parser!(u32).range(1..=MOST_CPUS))]
    cpus: u32,
    /// Count instructions instead of time, on one CPU, with nothing from outside: the same machine counts the same again
    #[arg(long)]
    deterministic: bool,
    /// Words for the kernel's command line; `hugepages=` replaces the default of 64 pages of 2 MiB
    #[arg(long, value_name = "WORDS", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Put a file or folder into the guest, by default in /root, where the command starts; can be given several times
    #[arg(long, value_name = "SRC[:DEST]")]
    add: Vec<AddedFile>,
    /// Load a module of the kernel's package, and those it needs; can be given several times
    #[arg(long, value_name = "NAME")]
    module: Vec<String>,
    /// Copy a file out of the guest when the command has ended, by default into this folder; can be given several times
    #[arg(long, value_name = "GUESTPATH[:DEST]")]
    copy_out: Vec<CopiedFile>,
    /// Stop the guest when the command runs longer than this, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    timeout: Option<Duration>,
    /// Write the kernel's log here (by default it is only kept when the guest fails)
    #[arg(long, value_name = "FILE", overrides_with = "log")]
    log: Option<PathBuf>,
    /// The QEMU to use, instead of the one in the cache or on PATH
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// What to run
    #[arg(last = true, required = true, value_name = "ARGS")]
    command: Vec<String>,
}

/// Boots, runs, and gives the command's exit status.
///
/// # Errors
/// When the guest cannot be booted or does not run its command to the end, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (lab, kernel) = lab(&args.kernel, args.qemu.clone())?;
    let accelerator = accelerator(&lab, &kernel, args.deterministic)?;
    let log = Log::open(args.log.clone())?;
    let mut machine = lab.machine(&kernel, accelerator, log.path(), command(&args.command));
    machine.memory.clone_from(&args.memory);
    machine.cpus = args.cpus;
    machine.append.clone_from(&args.append);
    machine.add.clone_from(&args.add);
    machine.load.clone_from(&args.module);
    machine.copy_out.clone_from(&args.copy_out);
    machine.timeout = args.timeout;
    if args.deterministic {
        count_instructions(&mut machine);
    }
    let streams = Streams {
        input: Input::Standard,
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
    };
    match lab.boot(&machine, streams) {
        Ok(exit) => {
            for sentence in &exit.missing {
                output::say(sentence);
            }
            Ok(status(&exit).into())
        }
        Err(error) => {
            if matches!(error, Error::Panic { .. } | Error::Hang { .. }) {
                log.keep()?;
            }
            Err(failed(error))
        }
    }
}

/// What runs in the guest: walkprobe where the first word is one of its subcommands.
fn command(words: &[String]) -> Vec<String> {
    let cli = Cli::command();
    let is_ours = words.first().is_some_and(|word| cli.find_subcommand(word).is_some());
    let program = is_ours.then(|| cli.get_name().to_owned());
    program.into_iter().chain(words.iter().cloned()).collect()
}

/// The command's own status, unless it hides that a file is missing.
fn status(exit: &Exit) -> u8 {
    if exit.status == 0 && !exit.missing.is_empty() { TROUBLE } else { exit.status }
}

/// Where the kernel's log goes.
enum Log {
    Wanted(PathBuf),
    /// Goes with this value, unless it is kept.
    Temporary(tempfile::NamedTempFile),
}

impl Log {
    fn open(wanted: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = wanted {
            output::create(&path)?;
            return Ok(Self::Wanted(path));
        }
        let file = tempfile::Builder::new().prefix("walkprobe-lab-").suffix(".log").tempfile();
        Ok(Self::Temporary(file.context("cannot write the kernel's log; --log names a file")?))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Wanted(path) => path.clone(),
            Self::Temporary(file) => file.path().to_owned(),
        }
    }

    /// Leaves it for the person who reads the error, which names it.
    fn keep(self) -> anyhow::Result<()> {
        if let Self::Temporary(file) = self {
            file.keep().context("cannot keep the kernel's log")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn subcommands_are_ours() {
        assert_eq!(command(&words("doctor --json")), words("walkprobe doctor --json"));
        assert_eq!(command(&words("walkprobe doctor")), words("walkprobe doctor"));
        assert_eq!(command(&words("ls -l")), words("ls -l"));
    }

    #[test]
    fn a_missing_file_is_no_success() {
        let exit = |status, missing: &[&str]| Exit {
            status,
            release: String::new(),
            boot_time: Duration::ZERO,
            missing: missing.iter().map(|&text| text.to_owned()).collect(),
        };
        assert_eq!(status(&exit(0, &[])), 0);
        assert_eq!(status(&exit(0, &["gone"])), TROUBLE);
        assert_eq!(status(&exit(3, &["gone"])), 3);
    }
}
