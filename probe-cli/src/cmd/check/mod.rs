//! `walkprobe check`: whether a kernel's walkers got slower, or do other things.

mod files;

use std::{path::PathBuf, process::ExitCode};

use super::bench;
use crate::{
    bench::suite::Suite,
    check::{
        Identity, Verdict,
        compare::{Comparison, Named, compare},
        explain::explain,
        report::{Format, Report},
        rules::Rules,
    },
    exit::{Failure, is_broken_pipe},
    output,
};

const EXAMPLES: &str = "Examples:
  walkprobe check --baseline before.json after.json
  walkprobe check --baseline 6.1.json 6.12.json 7.2.json --format markdown
  walkprobe check --baseline before.json --suite quick --rules walkers.toml --report report.xml
  walkprobe check --suite quick --save-baseline before.json
  walkprobe check explain time:thp/smaps/generic/pmd before.json after.json

`walkprobe bench` measures, also other kernels. docs/check.md tells what is compared, and how.

Exit status: 0 no regression, 1 a regression, 2 wrong command line or any other error, 3 it cannot be told,
4 nothing can be counted on this kernel or without more rights";

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// What to compare with: a file of `walkprobe bench`
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// What to compare: files of `walkprobe bench`, one or more
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Measure this kernel now, as often as the baseline was, and compare that
    #[arg(long, value_name = "NAME", conflicts_with = "files", value_parser = bench::suite)]
    suite: Option<&'static Suite>,
    /// Thresholds, limits and accepted changes: a TOML file
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// The form of what is printed
    #[arg(long, value_name = "FORM", default_value = "text")]
    format: Format,
    /// Write the report to this file, too; its ending tells the form: .txt, .json, .md, .xml (JUnit). Can be given several times
    #[arg(long, value_name = "FILE", value_parser = report_file)]
    report: Vec<PathBuf>,
    /// Write what was measured, or compared, to this file, for later comparisons
    #[arg(long, value_name = "FILE")]
    save_baseline: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show one finding in full: what each run came to, and histograms before and after
    Explain(Explain),
}

#[derive(Debug, clap::Args)]
struct Explain {
    /// Its name, as a report has it
    finding: String,
    /// What to compare with
    #[arg(value_name = "BASELINE")]
    baseline: PathBuf,
    /// What to compare
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Thresholds, limits and accepted changes: a TOML file
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

fn report_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    Format::of(&path)?;
    Ok(path)
}

/// Compares, and reports.
///
/// # Errors
/// All but a lack of rights, or of a kernel that can do it, has the same exit status, since those of a comparison have a
/// meaning of their own.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let done = match &args.action {
        Some(Action::Explain(args)) => explained(args),
        None => checked(args),
    };
    done.map_err(|error| {
        let has_its_own = matches!(error.downcast_ref(), Some(Failure::Impossible(_)));
        if has_its_own || is_broken_pipe(&error) {
            return error;
        }
        Failure::Check(format!("{error:#}")).into()
    })
}

fn checked(args: &Args) -> anyhow::Result<ExitCode> {
    // A wrong word should not cost the measuring.
    let rules = files::rules(args.rules.as_deref())?;
    let baseline = args.baseline.as_deref().map(files::results).transpose()?;
    let all = match args.suite {
        Some(suite) => vec![measured(suite, baseline.as_ref())?],
        None => args.files.iter().map(|path| files::results(path)).collect::<Result<_, _>>()?,
    };
    if let Some(path) = &args.save_baseline {
        let [one] = &all[..] else {
            return Err(usage("--save-baseline wants one file, or --suite"));
        };
        files::save(path, &one.results)?;
    }
    let Some(baseline) = baseline else {
        return match args.save_baseline {
            Some(_) => Ok(ExitCode::SUCCESS),
            None => Err(usage("--baseline FILE is wanted, or --save-baseline FILE to make one")),
        };
    };
    if all.is_empty() {
        return Err(usage("nothing to compare: name a file of `walkprobe bench`, or --suite"));
    }
    let comparisons =
        all.iter().map(|one| compared(&baseline, one, &rules)).collect::<anyhow::Result<_>>()?;
    let report = Report::new(Identity::of(&baseline.name, &baseline.results), comparisons);
    for path in &args.report {
        files::report(path, &report)?;
    }
    output::print(&report.write(args.format))?;
    Ok(match report.verdict {
        Verdict::Pass | Verdict::Improvement | Verdict::Accepted => ExitCode::SUCCESS,
        Verdict::Regression => ExitCode::from(1),
        Verdict::Inconclusive => ExitCode::from(3),
    })
}

/// As often as the baseline, if there is one.
fn measured(suite: &Suite, baseline: Option<&Named>) -> anyhow::Result<Named> {
    let much = match baseline {
        Some(named) => (named.results.settings, u32::try_from(named.results.runs.len())?),
        None => bench::Much::default().settings(),
    };
    Ok(Named { name: "this kernel, now".to_owned(), results: bench::here(suite, much)? })
}

fn compared(before: &Named, after: &Named, rules: &Rules) -> anyhow::Result<Comparison> {
    compare(before, after, rules).map_err(|error| {
        anyhow::Error::from(error).context(format!("{} and {}", before.name, after.name))
    })
}

fn explained(args: &Explain) -> anyhow::Result<ExitCode> {
    let rules = files::rules(args.rules.as_deref())?;
    let (before, after) = (files::results(&args.baseline)?, files::results(&args.file)?);
    let comparison = compared(&before, &after, &rules)?;
    let text = explain(&args.finding, &before, &after, &comparison);
    let missing = || {
        usage("there is no such finding in this comparison; `walkprobe check` prints their names")
    };
    output::print(&text.ok_or_else(missing)?)?;
    Ok(ExitCode::SUCCESS)
}

fn usage(text: &str) -> anyhow::Error {
    Failure::Check(text.to_owned()).into()
}
