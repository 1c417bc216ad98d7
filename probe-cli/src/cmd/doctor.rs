//! `walkprobe doctor`: what works on this kernel, what does not, and why.

use std::{fmt::Write as _, process::ExitCode};

use serde::Serialize;

use crate::{
    exit::Failure,
    kernel::{
        facts::{Facts, Mechanism, Trial},
        gather::{OPTIONS, gather},
    },
    output,
    plan::{
        Report,
        cure::{cure, refusal_cure},
        plan,
        report::{Mode, Outcome},
    },
    probe::{self, Live, Settings},
};

const EXAMPLES: &str = "Examples:
  walkprobe doctor
  walkprobe doctor --json | jq '.report.probes[] | select(.attached == null)'

Exit status: 0 everything works, 3 a part works, 4 nothing works";

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print the facts and the results as JSON
    #[arg(long)]
    json: bool,
}

/// Everything that doctor found out.
#[derive(Serialize)]
struct Diagnosis<'a> {
    tool: &'static str,
    report: &'a Report,
    /// Why nothing could be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    facts: &'a Facts,
}

/// Tries everything, and reports.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (facts, symbols) = gather(probe::mechanisms);
    let plan = plan(&facts);
    let settings = Settings { ring_bytes: 4096, ..Settings::default() };
    let (report, error) = match Live::start(&facts, symbols, plan.clone(), &settings) {
        Ok(live) => (live.report().clone(), None),
        Err(error) => {
            (Report::new(plan, [None; probe_common::probe::PROBES]), Some(format!("{error}")))
        }
    };
    if args.json {
        let diagnosis = Diagnosis {
            tool: concat!("walkprobe ", env!("CARGO_PKG_VERSION")),
            report: &report,
            error: error.as_deref(),
            facts: &facts,
        };
        output::print(&format!("{}\n", serde_json::to_string_pretty(&diagnosis)?))?;
    } else {
        output::print(&text(&facts, &report, error.as_deref()))?;
    }
    Ok(ExitCode::from(match report.mode {
        Mode::Full => 0,
        Mode::Reduced => Failure::Reduced.code(),
        Mode::Nothing => Failure::Impossible(String::new()).code(),
    }))
}

fn text(facts: &Facts, report: &Report, error: Option<&str>) -> String {
    let mut text = format!("kernel        {} {}\n", facts.release, facts.machine);
    line(&mut text, "BTF", facts.no_btf.as_deref().map_or("present", |error| error));
    for mechanism in [Mechanism::Fentry, Mechanism::Kprobe, Mechanism::Tracepoint] {
        line(&mut text, mechanism.name(), &trial_text(facts.mechanisms.trial(mechanism)));
        if let Some(cure) = refusal_cure(facts, mechanism) {
            line(&mut text, "", &format!("cure: {cure}"));
        }
    }
    line(&mut text, "rights", &rights(facts));
    line(&mut text, "configuration", &configuration(facts));
    text.push('\n');
    let width = report.probes.iter().map(|p| p.probe.name().len()).max().unwrap_or(0);
    for outcome in &report.probes {
        let _ = writeln!(text, "{:width$}  {}", outcome.probe.name(), outcome_text(outcome));
        if let Some(cure) = outcome.why_not().and_then(|(_, reason)| reason.cure()) {
            let _ = writeln!(text, "{:width$}  cure: {cure}", "");
        }
    }
    let attached = format!("{} of {} probes", report.attached(), report.probes.len());
    let verdict = match report.mode {
        Mode::Full => format!("full: {attached} attached"),
        Mode::Reduced => {
            format!("reduced: {attached} attached; the others are off for the reasons above")
        }
        Mode::Nothing => match error {
            Some(error) => format!("nothing works: {error}; {}", cure(facts)),
            None => format!("nothing works; {}", cure(facts)),
        },
    };
    let _ = writeln!(text, "\n{verdict}");
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<13} {value}");
}

fn trial_text(trial: &Trial) -> String {
    match trial {
        Trial::Works => "works".to_owned(),
        Trial::Refused(error) => format!("refused: {error}"),
        Trial::Untried => "not tried".to_owned(),
    }
}

fn rights(facts: &Facts) -> String {
    let privileges = &facts.privileges;
    let missing: Vec<_> = privileges
        .missing()
        .iter()
        .map(|capability| format!("{} missing ({})", capability.name, capability.needed_for))
        .collect();
    let mut text = if missing.is_empty() { "all".to_owned() } else { missing.join(", ") };
    if let Some(lockdown) = &privileges.lockdown {
        let _ = write!(text, "; lockdown: {lockdown}");
    }
    if privileges.initial_pid_namespace == Some(false) {
        text.push_str("; in a PID namespace: PIDs are shown as the host numbers them");
    }
    text
}

fn configuration(facts: &Facts) -> String {
    let Some(config) = &facts.config else {
        return "unknown: neither /proc/config.gz nor /boot/config is readable".to_owned();
    };
    let off: Vec<_> =
        OPTIONS.iter().filter(|&&option| !config.contains_key(option)).copied().collect();
    if off.is_empty() { "complete".to_owned() } else { format!("without {}", off.join(", ")) }
}

fn outcome_text(outcome: &Outcome) -> String {
    if let Some(chosen) = outcome.chosen() {
        let limits = chosen.limits.map(|limits| format!(" ({limits})")).unwrap_or_default();
        return format!("{} {}{limits}", chosen.mechanism.name(), chosen.targets.join(", "));
    }
    match outcome.why_not() {
        Some((candidate, reason)) => {
            format!(
                "off: {} {}: {reason}",
                candidate.mechanism.name(),
                candidate.targets.join(", ")
            )
        }
        None => "off".to_owned(),
    }
}
