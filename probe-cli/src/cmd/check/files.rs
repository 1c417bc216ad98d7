//! The files of a comparison: results, rules, reports.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::{
    bench::results::{Results, VERSION},
    check::{
        clean,
        compare::Named,
        report::{Format, Report},
        rules::Rules,
    },
    escape::harmless,
    exit::Failure,
    output,
};

/// No file of a suite comes near this; a file of anybody's may be anything.
const LIMIT: u64 = 256 << 20;

/// What every version of the format has.
#[derive(Deserialize)]
struct Header {
    bench: u32,
}

/// Reads results of `walkprobe bench`.
pub(super) fn results(path: &Path) -> anyhow::Result<Named> {
    let name = output::name(path);
    let bytes = bounded(path).with_context(|| format!("cannot read {name}"))?;
    let use_it = || format!("cannot use {name}: it is no file of `walkprobe bench`");
    let header: Header = serde_json::from_slice(&bytes).map_err(safe).with_context(use_it)?;
    if header.bench != VERSION {
        bail!(
            "{name} has version {} of the format, and this walkprobe reads version {VERSION}: measure again",
            header.bench
        );
    }
    let mut results: Results = serde_json::from_slice(&bytes).map_err(safe).with_context(use_it)?;
    clean(&mut results);
    Ok(Named { name, results })
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(io::Error::other("it is larger than any file of `walkprobe bench`"));
    }
    Ok(bytes)
}

/// What a reader says can have words of the file in it.
#[expect(clippy::needless_pass_by_value, reason = "it goes into `map_err`")]
fn safe(error: impl ToString) -> anyhow::Error {
    let mut text = error.to_string();
    harmless(&mut text);
    anyhow::Error::msg(text)
}

/// Reads rules; without a file, those that there are anyway.
pub(super) fn rules(path: Option<&Path>) -> anyhow::Result<Rules> {
    let Some(path) = path else { return Ok(Rules::default()) };
    let name = output::name(path);
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let lines = |error: String| error.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Rules::read(&text)
        .map_err(|error| safe(lines(error)))
        .with_context(|| format!("cannot use {name}"))
}

/// Writes results, for later comparisons.
pub(super) fn save(path: &Path, results: &Results) -> anyhow::Result<()> {
    write(path, &(serde_json::to_string(results)? + "\n"))
}

/// Writes a report in the form that the file's ending tells.
pub(super) fn report(path: &Path, report: &Report) -> anyhow::Result<()> {
    let format = Format::of(path).map_err(anyhow::Error::msg)?;
    write(path, &report.write(format))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let target = || output::name(path);
    let written = output::create(path)?.write_all(text.as_bytes());
    Ok(written.map_err(|error| Failure::Output { target: target(), error })?)
}
