//! Reports in a browser: Chromium loads them without a network, and what it shows is compared with the trace.
//!
//! Run by `cargo xtask test`, which fetches Chromium and names it in `WALKPROBE_CHROMIUM`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser as _;
use walkprobe::{
    cli::Cli, model::sizes::SizeClass, stats::Stats, stats::Summary, trace::open::open,
};

/// On a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A report as it stands in the browser when its script has run.
struct Page {
    dom: String,
}

impl Page {
    /// Exports a trace and loads the report.
    fn of(trace: &Path, folder: &Path) -> Self {
        let report = folder.join("report.html");
        let words = [trace, Path::new("--to"), Path::new("html"), Path::new("-o"), &report];
        let words = words.map(Path::as_os_str);
        let command = ["walkprobe", "export"].map(AsRef::as_ref);
        Cli::try_parse_from(command.into_iter().chain(words)).unwrap().run().unwrap();
        Self::load(&report, folder)
    }

    fn load(report: &Path, folder: &Path) -> Self {
        let program = env::var_os("WALKPROBE_CHROMIUM")
            .expect("WALKPROBE_CHROMIUM is not set: run `cargo xtask test`");
        let (dom, log) = (folder.join("dom"), folder.join("log"));
        let mut child = Command::new(program)
            // In containers and as root there is no sandbox to be had; the page is our own.
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--dump-dom",
                "--virtual-time-budget=10000",
            ])
            .args(["--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(format!("file://{}", report.display()))
            .stdin(Stdio::null())
            .stdout(fs::File::create(&dom).unwrap())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("Chromium hung: {}", fs::read_to_string(&log).unwrap());
            }
            thread::sleep(Duration::from_millis(20));
        };
        let log = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
        assert!(status.success(), "{status}: {log}");
        // Whatever a page complains about: errors of scripts, what the policy did not allow.
        let console: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "{console:?}");
        let page = Self { dom: fs::read_to_string(dom).unwrap() };
        let root = &page.all("html")[0];
        assert_eq!(root.get("data-ready").map(String::as_str), Some("yes"), "{root:?}");
        assert_eq!(root.get("data-error"), None);
        page
    }

    /// The attributes of every element with this name, in order.
    fn all(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let begin = format!("<{name}");
        // What stands behind the script are the data and the source themselves.
        let tags = self.shown().into_iter().flat_map(|part| {
            let tags = part.split(&begin).skip(1).filter(|tag| tag.starts_with([' ', '>']));
            tags.map(attributes).collect::<Vec<_>>()
        });
        tags.collect()
    }

    /// The page without its scripts.
    fn shown(&self) -> Vec<&str> {
        let mut parts = self.dom.split("<script");
        let first = parts.next().unwrap();
        let rest = parts.filter_map(|part| part.split_once("</script>").map(|(_, shown)| shown));
        [first].into_iter().chain(rest).collect()
    }

    fn number(&self, element: &str, by: (&str, &str), attribute: &str) -> u64 {
        let all = self.all(element);
        let found = all.iter().find(|one| one.get(by.0).is_some_and(|value| value == by.1));
        found.unwrap_or_else(|| panic!("no {element} with {by:?}"))[attribute].parse().unwrap()
    }
}

/// The attributes at the beginning of a text, as the browser writes them.
fn attributes(mut tag: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while let Some((name, rest)) = tag.strip_prefix(' ').and_then(|tag| tag.split_once("=\"")) {
        let Some((value, rest)) = rest.split_once('"') else { break };
        found.insert(name.to_owned(), value.to_owned());
        tag = rest;
    }
    found
}

fn stats(trace: &Path) -> Summary {
    let mut reader = open(trace).unwrap();
    let mut stats = Stats::default();
    while let Some(input) = reader.next_input().unwrap() {
        stats.take(input);
    }
    stats.finish()
}

#[test]
fn the_numbers_are_those_of_the_trace() {
    for format in [1, 2] {
        let trace = format!("{}/tests/traces/v{format}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().unwrap();
        let page = Page::of(Path::new(&trace), folder.path());
        let summary = stats(Path::new(&trace));
        assert_eq!(page.all("html")[0]["data-events"], summary.events.to_string());
        for cause in &summary.causes {
            let of = |attribute| page.number("tr", ("data-cause", cause.cause), attribute);
            assert_eq!((of("data-events"), of("data-changed")), (cause.events, cause.changed));
        }
        assert_eq!(page.number("tr", ("data-cause", "pmd_split"), "data-events"), 3);
        let families: Vec<_> =
            page.all("div").into_iter().filter(|one| one.contains_key("data-family")).collect();
        let sum: u64 = families.iter().map(|one| one["data-events"].parse::<u64>().unwrap()).sum();
        assert_eq!(sum, summary.events);
        let process = &summary.processes[0];
        let sections = page.all("section");
        assert_eq!(sections.len(), summary.processes.len());
        assert_eq!(sections[0]["data-pid"], process.pid.to_string());
        let canvases = page.all("canvas");
        let most: u64 = canvases.iter().find_map(|one| one.get("data-most")?.parse().ok()).unwrap();
        let last: u64 = SizeClass::ALL.iter().map(|class| process.last[class.title()]).sum();
        assert!(most >= last && last > 0, "{most} {last}");
        // Something was mapped by single pages, and drawn.
        let areas: Vec<_> = canvases.iter().filter(|one| one.contains_key("data-area")).collect();
        let drawn = sections[0]["data-changed"].parse::<usize>().unwrap()
            + sections[0]["data-still"].parse::<usize>().unwrap();
        assert_eq!(areas.len(), drawn);
        assert!(areas.iter().any(|area| area["data-tones"].contains('D')), "{areas:?}");
    }
}

#[test]
fn a_hostile_name_is_shown_and_not_run() {
    const NAME: &str = "</script><script>document.documentElement.dataset.owned=1</script>\
                        <img src=x onerror='document.documentElement.dataset.owned=1'>&lt;";
    let folder = tempfile::tempdir().unwrap();
    let fixture = format!("{}/tests/traces/v2.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(fixture).unwrap();
    let name = serde_json::to_string(NAME).unwrap();
    let hostile = text
        .replace("\"comm\":\"walkprobe\"", &format!("\"comm\":{name}"))
        .replace("\"name\":\"[heap]\"", &format!("\"name\":{name}"))
        .replace("\"kernel\":\"7.2", &format!("\"kernel\":\"{}7.2", &name[1..name.len() - 1]));
    let trace = folder.path().join("t.jsonl");
    fs::write(&trace, hostile).unwrap();
    let page = Page::of(&trace, folder.path());
    assert!(!page.all("html")[0].contains_key("data-owned"));
    assert!(page.all("img").is_empty());
    let shown = "&lt;/script&gt;&lt;script&gt;document";
    let number: usize = page.shown().iter().map(|part| part.matches(shown).count()).sum();
    // The process, its heap, the kernel.
    assert!(number >= 3, "{number}");
}

#[test]
fn without_maps_the_operations_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = format!("{}/tests/traces/v2.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(fixture).unwrap();
    let lines = text.split_inclusive('\n').filter(|line| !line.contains("\"kind\":\"reading\""));
    let trace = folder.path().join("t.jsonl");
    // Without its footer, too.
    let lines: Vec<_> = lines.filter(|line| !line.contains("\"kind\":\"footer\"")).collect();
    fs::write(&trace, lines.concat()).unwrap();
    let page = Page::of(&trace, folder.path());
    assert_eq!(page.number("tr", ("data-cause", "pmd_split"), "data-events"), 3);
    let shown = page.shown().concat();
    assert!(page.all("section").is_empty() && shown.contains("walkprobe trace --maps"));
    assert!(shown.contains("the trace was cut: it ends before its footer"), "{shown}");
}
