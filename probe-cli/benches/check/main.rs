//! How small a change `walkprobe check` finds, and how often it finds one where there is none. Run by `cargo xtask bench check`,
//! which names the static walkprobe in `WALKPROBE_BIN`; prints tables.

use std::{
    env, fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use walkprobe::{
    bench::results::Results,
    check::{
        Verdict,
        compare::{Comparison, Named, compare},
        rules::Rules,
    },
};

const KERNEL: &str = "7.2";
/// The function that is made slower, and where that shows in the suite.
const FUNCTION: &str = "pagemap_pmd_range";
const ID: &str = "time:thp/pagemap/generic/pmd";
/// Comparisons of a kernel with itself.
const TIMES: usize = 200;
/// Boots of the pool that sides are drawn from; runs of a side.
const POOL: usize = 24;
const SIDE: usize = 5;
/// Runs of a side where time is measured, and blocks of as many.
const TIMED: usize = 10;
const BLOCKS: usize = 21;

fn main() -> ExitCode {
    match measured() {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint(&format!("{error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "for the person who waits")]
fn eprint(text: &str) {
    eprint!("{text}");
}

fn measured() -> Result<String> {
    let folder = tempfile::tempdir()?;
    let mut text = instructions(folder.path())?;
    text.push_str(&time(folder.path())?);
    Ok(text)
}

fn walkprobe(words: &[&str], more: &[String]) -> Result<()> {
    let binary = env::var("WALKPROBE_BIN").context("run `cargo xtask bench check`")?;
    let ended = Command::new(binary).args(words).args(more).output()?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!("walkprobe {} ended with {}: {said}", words.join(" "), ended.status);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Results> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

/// Deterministic guests.
fn boots(folder: &Path, runs: usize, rounds: Option<u32>) -> Result<Results> {
    let file = folder.join("boots.json");
    let words = ["bench", "--kernel", KERNEL, "--deterministic", "--suite", "quick"];
    let mut more =
        vec!["--runs".to_owned(), runs.to_string(), "-o".to_owned(), file.display().to_string()];
    more.extend(rounds.map(|rounds| format!("--slow={FUNCTION}={rounds}")));
    walkprobe(&words, &more)?;
    read(&file)
}

fn compared(before: &Results, after: &Results) -> Result<Comparison> {
    let named =
        |name: &str, results: &Results| Named { name: name.to_owned(), results: results.clone() };
    Ok(compare(&named("before", before), &named("after", after), &Rules::default())?)
}

/// How many of a kind of finding there are.
fn number(comparison: &Comparison, verdict: Verdict) -> usize {
    comparison.findings.iter().filter(|found| found.verdict == verdict).count()
}

/// These runs of some results.
fn some(of: &Results, numbers: &[usize]) -> Results {
    let runs = numbers.iter().filter_map(|&number| of.runs.get(number).cloned()).collect();
    Results { runs, ..of.clone() }
}

/// Of comparisons of the same kernel: how many were made, and how many of them found something.
fn alike(sides: impl Iterator<Item = (Results, Results)>) -> Result<String> {
    let (mut all, mut slower, mut faster) = (0, 0, 0);
    for (before, after) in sides {
        let comparison = compared(&before, &after)?;
        all += 1;
        slower += usize::from(number(&comparison, Verdict::Regression) > 0);
        faster += usize::from(number(&comparison, Verdict::Improvement) > 0);
    }
    Ok(format!(
        "Of {all} comparisons of the kernel with itself, {slower} found a regression, and {faster} something faster.\n\n"
    ))
}

const HEADING: &str =
    "| rounds | change | interval | is found | other findings |\n|---|---|---|---|---|\n";

/// A line about a comparison with a function that was made slower.
fn line(rounds: u32, comparison: &Comparison) -> String {
    let is_it = |id: &str| id == ID;
    let timed = comparison.times.iter().find(|timed| is_it(&format!("time:{}", timed.place)));
    let percent = |ratio: f64| format!("{:+.2} %", (ratio - 1.0) * 100.0);
    let (change, interval) = match timed.and_then(|timed| timed.interval) {
        Some(found) => {
            (percent(found.ratio), format!("{} to {}", percent(found.low), percent(found.high)))
        }
        None => ("?".to_owned(), "?".to_owned()),
    };
    let regressions =
        comparison.findings.iter().filter(|found| found.verdict == Verdict::Regression);
    let is_found = regressions.clone().any(|found| is_it(&found.id));
    let others: Vec<_> = comparison
        .findings
        .iter()
        .filter(|found| !is_it(&found.id))
        .map(|found| found.id.as_str())
        .collect();
    let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    format!(
        "| {rounds} | {change} | {interval} | {} | {others} |\n",
        if is_found { "yes" } else { "no" }
    )
}

fn instructions(folder: &Path) -> Result<String> {
    eprint(&format!("{POOL} boots ...\n"));
    let pool = boots(folder, POOL, None)?;
    let mut random = fastrand::Rng::with_seed(1);
    let sides = (0..TIMES).map(|_| {
        let mut numbers: Vec<usize> = (0..POOL).collect();
        random.shuffle(&mut numbers);
        (some(&pool, &numbers[..SIDE]), some(&pool, &numbers[SIDE..2 * SIDE]))
    });
    let mut text = format!("## Instructions\n\n{}", alike(sides)?);
    text.push_str(HEADING);
    let before = some(&pool, &(0..SIDE).collect::<Vec<_>>());
    for rounds in [1, 8, 32, 128] {
        eprint(&format!("{rounds} rounds ...\n"));
        let after = boots(folder, SIDE, Some(rounds))?;
        text.push_str(&line(rounds, &compared(&before, &after)?));
    }
    text.push('\n');
    Ok(text)
}

/// Rounds that are about a tenth of the time of the function.
const TENTH: u32 = 96;

/// One guest, whose clock is the host's: the kernel as it is, in turns with some slower ones.
fn time(folder: &Path) -> Result<String> {
    eprint(&format!("{} runs in one guest ...\n", TIMED * (BLOCKS + 3)));
    let bench = |name: &str, more: &str| {
        format!("walkprobe bench --suite quick --runs {TIMED} -o {name}{more} || exit 1\n")
    };
    let mut script = String::new();
    let slower = [TENTH, 2 * TENTH, 4 * TENTH];
    let mut files = Vec::new();
    for block in 0..BLOCKS {
        script.push_str(&bench(&format!("same{block}"), ""));
        files.push(format!("same{block}"));
        if let Some(rounds) = slower.get(block) {
            let more = format!(" --slow {FUNCTION}={rounds}");
            script.push_str(&bench(&format!("slow{block}"), &more));
            files.push(format!("slow{block}"));
        }
    }
    fs::write(folder.join("script"), script)?;
    let mut more = vec![format!("--add={}:/root/script", folder.join("script").display())];
    more.extend(
        files.iter().map(|name| format!("--copy-out={name}:{}", folder.join(name).display())),
    );
    more.extend(["--", "sh", "script"].map(str::to_owned));
    walkprobe(&["lab", "--kernel", KERNEL, "--timeout", "3600"], &more)?;
    let block = |name: String| read(&folder.join(name));
    let mut same = block("same0".to_owned())?;
    for number in 1..BLOCKS {
        same.runs.extend(block(format!("same{number}"))?.runs);
    }
    // Neighbours in time, as a baseline and what is compared with it usually are not: a machine changes more in a longer time.
    let windows = same.runs.len() - 2 * TIMED + 1;
    let window = |start: usize| {
        let side = |from: usize| some(&same, &(from..from + TIMED).collect::<Vec<_>>());
        (side(start), side(start + TIMED))
    };
    let mut text = format!("## Time\n\n{}", alike((0..windows.min(TIMES)).map(window))?);
    text.push_str(HEADING);
    for (number, rounds) in slower.into_iter().enumerate() {
        let before = block(format!("same{number}"))?;
        let after = block(format!("slow{number}"))?;
        text.push_str(&line(rounds, &compared(&before, &after)?));
    }
    Ok(text)
}
