//! A trace of a real kernel in every form: what each has is what the trace has.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::{Failed, Trial};
use probe_common::probe::{Family, Probe};
use serde_json::Value;
use walkprobe::{
    event::Event,
    input::{Input, Note},
    model::sizes::SizeClass,
    stats::{Stats, Summary},
    trace::open::open,
};

use crate::{
    need,
    protobuf::{inner, number, packets},
    run::{ensure, run, scratch, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    let lack = need::a_guest("it needs functions to be probed").or_else(need::thp);
    vec![
        Trial::test("export::every_form_has_what_the_trace_has", every_form)
            .with_ignored_flag(lack.is_some())
            .with_kind(lack.unwrap_or_default()),
    ]
}

fn every_form() -> Result<(), Failed> {
    let folder = scratch("export");
    fs::create_dir(&folder)?;
    let all = Recorded::new(&folder).and_then(|trace| {
        trace.chrome()?;
        trace.perfetto()?;
        trace.tables()?;
        trace.folded()?;
        trace.report()
    });
    fs::remove_dir_all(&folder)?;
    all
}

/// A trace, and what is in it.
struct Recorded {
    folder: PathBuf,
    trace: PathBuf,
    events: Vec<Event>,
    /// Notes of lost events.
    lost: usize,
    summary: Summary,
}

impl Recorded {
    /// Splits in two ways, and a collapse, with leaf maps and stacks.
    fn new(folder: &Path) -> Result<Self, Failed> {
        let trace = folder.join("t.jsonl.zst");
        let mut command = walkprobe();
        command
            .args(["trace", "--maps", "--stacks", "-o"])
            .arg(&trace)
            .arg("--")
            .arg(walkprobe().get_program());
        let steps = ["thp:2", "split-mprotect:3", "split-munmap:2", "folio-split:1", "collapse:1"];
        let ended = run(command.args(["workload", "run"]).args(steps))?;
        ensure(ended.code() == Some(0), || format!("{}: {}", ended.status, ended.stderr))?;
        let mut reader = open(&trace)?;
        let (mut events, mut lost, mut stats) = (Vec::new(), 0, Stats::default());
        while let Some(input) = reader.next_input()? {
            match &input {
                Input::Event(event) => events.push(event.clone()),
                Input::Note(Note::Lost { .. }) => lost += 1,
                _ => {}
            }
            stats.take(input);
        }
        let recorded =
            Self { folder: folder.to_owned(), trace, events, lost, summary: stats.finish() };
        ensure(reader.complaints().is_empty(), || format!("{:?}", reader.complaints()))?;
        let (splits, maps) = (recorded.of(Family::Split), recorded.summary.readings);
        ensure(splits >= 5 && recorded.of(Family::Collapse) >= 1 && maps > 0, || {
            format!("{splits} splits, {maps} readings")
        })?;
        Ok(recorded)
    }

    /// Exports to a file or a folder, and says where it is. Nothing is said about a whole trace.
    fn export(&self, words: &[&str]) -> Result<PathBuf, Failed> {
        let output = self.folder.join(words.join("."));
        let mut command = walkprobe();
        command.arg("export").arg(&self.trace).args(words).arg("-o").arg(&output);
        let ended = run(&mut command)?;
        ensure(ended.code() == Some(0) && ended.stderr.is_empty(), || {
            format!("{words:?}: {}: {}", ended.status, ended.stderr)
        })?;
        Ok(output)
    }

    fn of(&self, family: Family) -> usize {
        self.events.iter().filter(|event| event.probe.family() == family).count()
    }

    /// Operations with a duration, those without, and those that give leaves another size.
    fn numbers(&self) -> [usize; 3] {
        let moments = self.events.iter().filter(|event| event.duration.is_none()).count();
        let is_request = |event: &&Event| event.probe == Probe::CollapseRequest;
        let requests = self.events.iter().filter(is_request).count();
        let changes = self.of(Family::Split) + self.of(Family::Collapse) - requests;
        [self.events.len() - moments, moments, changes]
    }

    fn chrome(&self) -> Result<(), Failed> {
        let text = fs::read(self.export(&["--to", "chrome"])?)?;
        let json: Value = serde_json::from_slice(&text)?;
        let elements = json["traceEvents"].as_array().ok_or("no list of events")?;
        let of = |key: &str, value: &str| elements.iter().filter(|one| one[key] == value).count();
        same("chrome", [of("ph", "X"), of("s", "t"), of("s", "p")], self.numbers())?;
        let most = elements.iter().filter(|one| one["ph"] == "C");
        let most = most.filter_map(|one| one["args"]["2M"].as_u64()).max();
        ensure(most.is_some_and(|most| most >= 2 << 20), || format!("no 2M leaf: {most:?}"))
    }

    fn perfetto(&self) -> Result<(), Failed> {
        let bytes = fs::read(self.export(&["--to", "perfetto"])?)?;
        let mut numbers = [0; 5];
        let mut last = BTreeMap::new();
        let mut depth: BTreeMap<u64, usize> = BTreeMap::new();
        for packet in packets(&bytes).ok_or("no trace of Perfetto")? {
            let Some(event) = inner(&packet, 11) else { continue };
            let fields = (number(&packet, 8), number(&event, 11), number(&event, 9));
            let (Some(time), Some(track), Some(kind)) = fields else {
                return Err(format!("not complete: {event:?}").into());
            };
            let before = last.insert(track, time).unwrap_or(0);
            ensure(before <= time, || format!("{time} comes after {before} on {track}"))?;
            *numbers.get_mut(usize::try_from(kind)?).ok_or("no such kind")? += 1;
            let depth = depth.entry(track).or_default();
            match kind {
                1 => *depth += 1,
                2 => *depth = depth.checked_sub(1).ok_or("an end without a beginning")?,
                _ => {}
            }
        }
        let [lasting, moments, changes] = self.numbers();
        let counts = numbers[4];
        same("perfetto", numbers, [0, lasting, lasting, moments + changes + self.lost, counts])?;
        ensure(depth.values().all(|&depth| depth == 0) && counts >= SizeClass::ALL.len(), || {
            format!("{depth:?}, {counts} counts")
        })
    }

    fn tables(&self) -> Result<(), Failed> {
        let folder = self.export(&["--to", "csv"])?;
        for family in Family::ALL {
            let mut rows = csv::Reader::from_path(folder.join(format!("{}.csv", family.name())))?;
            let rows = rows.records().collect::<Result<Vec<_>, _>>()?;
            same(family.name(), [rows.len()], [self.of(family)])?;
        }
        let mut rows = csv::Reader::from_path(folder.join("sizes.csv"))?;
        let rows = rows.records().collect::<Result<Vec<_>, _>>()?;
        ensure(rows.len() > 1, || format!("{rows:?}"))
    }

    fn folded(&self) -> Result<(), Failed> {
        let text = fs::read_to_string(self.export(&["--to", "folded"])?)?;
        let count =
            |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok());
        let counts = text.lines().map(count).collect::<Option<Vec<_>>>().ok_or("no count")?;
        same("folded", [counts.iter().sum()], [self.of(Family::Split)])?;
        ensure(text.lines().all(|line| line.contains("split_[k] ")), || text.clone())
    }

    fn report(&self) -> Result<(), Failed> {
        let page = fs::read_to_string(self.export(&["--to", "html"])?)?;
        let data =
            page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next());
        let data: Value = serde_json::from_str(data.ok_or("no data")?)?;
        let (found, wanted) = (&data["summary"], serde_json::to_value(&self.summary)?);
        ensure(found["causes"] == wanted["causes"] && found["losses"] == wanted["losses"], || {
            format!("{found} is not {wanted}")
        })?;
        let areas = data["processes"][0]["areas"].as_array().ok_or("no process")?;
        // What is drawn in a browser is in `tests/browser.rs`.
        ensure(!areas.is_empty(), || "no area of the address space".to_owned())
    }
}

fn same<const N: usize>(what: &str, found: [usize; N], wanted: [usize; N]) -> Result<(), Failed> {
    ensure(found == wanted, || format!("{what}: {found:?}, and {wanted:?} in the trace"))
}
