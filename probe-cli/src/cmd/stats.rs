//! `walkprobe stats`: what happened in a trace.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use crate::{
    output,
    stats::{Stats, Summary, text},
    trace::{self, header::Header},
};

const EXAMPLES: &str = "Examples:
  walkprobe stats app.jsonl
  walkprobe stats app.jsonl.zst --json | jq .losses
  zstdcat app.jsonl.zst | walkprobe stats -";

/// Arguments of `stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A trace, compressed or not; - stands for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print everything as one JSON document
    #[arg(long)]
    json: bool,
}

/// Prints what happened. Of a damaged trace, what could be read is told before the error.
///
/// # Errors
/// When the trace cannot be read, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (summary, header, damage) = read(&args.file)?;
    let text = if args.json {
        serde_json::to_string_pretty(&summary)? + "\n"
    } else {
        let mut text = String::new();
        text::write(&summary, &header, &mut text)?;
        text
    };
    output::print(&text)?;
    damage.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn read(path: &Path) -> anyhow::Result<(Summary, Header, Option<anyhow::Error>)> {
    let mut reader = trace::open::open(path)?;
    let name = output::name(path);
    let mut stats = Stats::default();
    let damage = loop {
        match reader.next_input().with_context(|| format!("cannot read {name}")) {
            Ok(Some(input)) => stats.take(input),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if damage.is_none() {
        let complaints =
            reader.complaints().into_iter().chain(stats.session().left_out().complaints());
        complaints.for_each(|complaint| {
            output::say(&format!("{name}: {complaint}"));
        });
    }
    Ok((stats.finish(), reader.header().clone(), damage))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::read;
    use crate::stats::text;

    fn fixture(format: u32) -> String {
        format!("{}/tests/traces/v{format}.jsonl", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn one_screen_tells_what_happened() {
        for format in [1, 2] {
            let (summary, header, damage) = read(Path::new(&fixture(format))).unwrap();
            assert!(damage.is_none());
            let mut screen = String::new();
            text::write(&summary, &header, &mut screen).unwrap();
            insta::assert_snapshot!(format!("stats_v{format}"), screen);
        }
    }

    #[test]
    fn what_comes_before_the_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl");
        let mut text = fs::read_to_string(fixture(2)).unwrap();
        let whole = read(Path::new(&fixture(2))).unwrap().0;
        text.truncate(text.len() / 2);
        fs::write(&path, text + "\nrubbish\n").unwrap();
        let (summary, _, damage) = read(&path).unwrap();
        assert!(format!("{:#}", damage.unwrap()).contains("is damaged"));
        assert!(summary.events > 10 && summary.events < whole.events);
    }
}
