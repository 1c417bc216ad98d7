//! `walkprobe diff`: what changed between two saved leaf maps.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};

use crate::{
    maps::{Look, diff, json},
    model::set::TranslationSet,
    output, tui,
};

const EXAMPLES: &str = "Files of one process each are compared whatever its PID is; in files of several, processes with
the same PID are.

Examples:
  walkprobe maps 1234 --json > before.json
  walkprobe maps 1234 --json > after.json
  walkprobe diff before.json after.json";

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The leaf map before, as `maps --json` wrote it
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The leaf map after
    #[arg(value_name = "AFTER")]
    after: PathBuf,
}

/// Prints what changed.
///
/// # Errors
/// When a file cannot be read or is no leaf map, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let color = output::is_terminal() && tui::Options::from_environment().color;
    output::print(&text(&before, &after, Look { color, ..Look::PLAIN })?)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<Vec<TranslationSet>> {
    let name = output::name(path);
    let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let text = String::from_utf8(bytes).with_context(|| format!("cannot read {name}"))?;
    json::read(&text).with_context(|| format!("cannot use {name}"))
}

/// The differences of every pair.
fn text(before: &[TranslationSet], after: &[TranslationSet], look: Look) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let mut pairs = 0;
    for (before, after) in pair(before, after) {
        if pairs > 0 {
            out.push(b'\n');
        }
        diff::write(before, after, look, &mut out)?;
        pairs += 1;
    }
    if pairs == 0 {
        bail!("the files have no process in common; save the same processes with `maps --json`");
    }
    Ok(String::from_utf8(out)?)
}

/// The sets to compare: the only ones, or those with the same PID.
fn pair<'a>(
    before: &'a [TranslationSet],
    after: &'a [TranslationSet],
) -> Vec<(&'a TranslationSet, &'a TranslationSet)> {
    if let ([before], [after]) = (before, after) {
        return vec![(before, after)];
    }
    let with_same = |old: &'a TranslationSet| {
        let new = after.iter().find(|new| new.origin().pid == old.origin().pid);
        new.map(|new| (old, new))
    };
    before.iter().filter_map(with_same).collect()
}

#[cfg(test)]
mod tests {
    use super::{pair, read, text};
    use crate::{
        maps::Look,
        model::set::{Origin, TranslationSet},
    };

    fn empty(pid: u32) -> TranslationSet {
        TranslationSet::new(Origin { pid, ..Origin::default() }, vec![]).unwrap()
    }

    #[test]
    fn what_belongs_together_is_compared() {
        assert_eq!(pair(&[empty(1)], &[empty(2)]).len(), 1);
        assert_eq!(pair(&[empty(1), empty(2)], &[empty(2), empty(3)]).len(), 1);
        assert!(text(&[empty(1)], &[empty(2), empty(3)], Look::PLAIN).is_err());
        let same = text(&[empty(1)], &[empty(1)], Look::PLAIN).unwrap();
        assert_eq!(same, "process 1 ()\nno leaf changed its size or kind\n");
    }

    #[test]
    fn files_that_are_no_leaf_maps_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a\x1bb");
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("a\\x1bb: "));
        std::fs::write(&path, b"\xff").unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, b"{}").unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("missing field `format`"));
    }
}
