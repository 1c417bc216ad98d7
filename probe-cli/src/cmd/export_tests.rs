//! Traces exported, and loaded again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use probe_common::probe::{Family, Probe};
use serde_json::Value;

use self::protobuf::{inner, number, packets};
use super::{Args, run};
use crate::{
    event::Event,
    export::{Format, columns::Table},
    input::Input,
    model::sizes::SizeClass,
    stats::Stats,
    trace::open::open,
};

#[path = "../../tests/guest/protobuf.rs"]
mod protobuf;

/// A trace, and a place for what is made of it.
struct Export {
    folder: tempfile::TempDir,
    trace: PathBuf,
}

impl Export {
    fn fixture(format: u32) -> Self {
        let trace = format!("{}/tests/traces/v{format}.jsonl", env!("CARGO_MANIFEST_DIR"));
        Self { folder: tempfile::tempdir().unwrap(), trace: trace.into() }
    }

    /// Of a text, which begins with the header of a fixture.
    fn of(lines: &str) -> Self {
        let fixture = Self::fixture(2);
        let text = fs::read_to_string(&fixture.trace).unwrap();
        let trace = fixture.folder.path().join("t.jsonl");
        fs::write(&trace, format!("{}\n{lines}", text.lines().next().unwrap())).unwrap();
        Self { trace, ..fixture }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn run(&self, to: Format, table: Option<Table>) -> anyhow::Result<Vec<u8>> {
        let output = self.output();
        run(&Args { file: self.trace.clone(), to, output: Some(output.clone()), table })?;
        Ok(if output.is_dir() { Vec::new() } else { fs::read(output).unwrap() })
    }

    fn text(&self, to: Format, table: Option<Table>) -> String {
        String::from_utf8(self.run(to, table).unwrap()).unwrap()
    }

    fn events(&self) -> Vec<Event> {
        let mut reader = open(&self.trace).unwrap();
        let mut events = Vec::new();
        while let Some(input) = reader.next_input().unwrap() {
            if let Input::Event(event) = input {
                events.push(event);
            }
        }
        events
    }
}

fn of_family(events: &[Event], family: Family) -> usize {
    events.iter().filter(|event| event.probe.family() == family).count()
}

/// Splits and collapses, without requests.
fn changes_of_size(events: &[Event]) -> usize {
    let requests = events.iter().filter(|event| event.probe == Probe::CollapseRequest).count();
    of_family(events, Family::Split) + of_family(events, Family::Collapse) - requests
}

#[test]
fn chrome_has_every_operation() {
    for format in [1, 2] {
        let export = Export::fixture(format);
        let text = export.text(Format::Chrome, None);
        let json: Value = serde_json::from_str(&text).unwrap();
        let elements = json["traceEvents"].as_array().unwrap();
        let of = |is_it: &dyn Fn(&Value) -> bool| elements.iter().filter(|one| is_it(one)).count();
        let events = export.events();
        let moments = events.iter().filter(|event| event.duration.is_none()).count();
        assert_eq!(of(&|one| one["ph"] == "X"), events.len() - moments);
        assert_eq!(of(&|one| one["s"] == "t"), moments);
        assert_eq!(of(&|one| one["s"] == "p"), changes_of_size(&events));
        for event in &events {
            // As it is written: a parser makes a floating-point number of it.
            let ts = format!("\"ts\":{}.{:03},", event.time / 1000, event.time % 1000);
            assert!(text.contains(&ts), "{ts}");
        }
        let slices = elements.iter().filter(|one| one["ph"] == "X");
        let times: Vec<f64> = slices.map(|one| one["ts"].as_f64().unwrap()).collect();
        assert!(times.is_sorted());
    }
}

/// The largest numbers of a process by leaf size are those of the map: what the first reading found is among them.
#[test]
fn sizes_are_those_of_the_map() {
    let export = Export::fixture(2);
    let mut reader = open(&export.trace).unwrap();
    let mut stats = Stats::default();
    while let Some(input) = reader.next_input().unwrap() {
        stats.take(input);
    }
    let summary = stats.finish();
    let table = export.text(Format::Csv, Some(Table::Sizes));
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    assert_eq!(rows.headers().unwrap(), Table::Sizes.columns());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let sizes = |row: &csv::StringRecord| -> BTreeMap<&str, u64> {
        let numbers = row.iter().skip(3).map(|cell| cell.parse().unwrap());
        SizeClass::ALL.into_iter().map(SizeClass::title).zip(numbers).collect()
    };
    let process = &summary.processes[0];
    assert_eq!(sizes(&rows[0]), process.first);
    // Before the end; at the end nothing is left.
    assert!(rows.iter().any(|row| sizes(row) == process.last));
    assert!(process.has_ended && sizes(rows.last().unwrap()).values().all(|&bytes| bytes == 0));
    let chrome = export.text(Format::Chrome, None);
    assert_eq!(chrome.matches("\"bytes by leaf size\"").count(), rows.len());
}

/// What operations did is what `stats` sums up by cause.
#[test]
fn effects_are_those_of_the_map() {
    for format in [1, 2] {
        let export = Export::fixture(format);
        let mut reader = open(&export.trace).unwrap();
        let mut stats = Stats::default();
        while let Some(input) = reader.next_input().unwrap() {
            stats.take(input);
        }
        let wanted: BTreeMap<_, _> = stats
            .finish()
            .causes
            .into_iter()
            .filter(|cause| cause.changed > 0)
            .map(|cause| (cause.cause.to_owned(), cause.changed))
            .collect();
        let table = export.text(Format::Csv, Some(Table::Effects));
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for row in csv::Reader::from_reader(table.as_bytes()).records() {
            let row = row.unwrap();
            *found.entry(row[3].to_owned()).or_default() += row[8].parse::<u64>().unwrap();
        }
        assert_eq!(found, wanted);
    }
}

#[test]
fn every_event_is_a_row_of_its_table() {
    for format in [1, 2] {
        let export = Export::fixture(format);
        export.run(Format::Csv, None).unwrap();
        let events = export.events();
        for table in Table::ALL {
            let path = export.output().join(format!("{}.csv", table.name()));
            let mut rows = csv::Reader::from_path(path).unwrap();
            assert_eq!(rows.headers().unwrap(), table.columns());
            // A row of another length would be an error.
            let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
            if let Table::Family(family) = table {
                assert_eq!(rows.len(), of_family(&events, family), "{}", family.name());
            }
        }
    }
}

#[test]
fn splits_as_a_table_and_as_stacks() {
    let export = Export::fixture(2);
    let split = Some(Table::Family(Family::Split));
    insta::assert_snapshot!("export_csv", export.text(Format::Csv, split));
    insta::assert_snapshot!("export_folded", export.text(Format::Folded, None));
    assert_eq!(export.text(Format::Folded, split), export.text(Format::Folded, None));
}

#[test]
fn stacks_are_counted() {
    let export = Export::fixture(2);
    for family in Family::ALL {
        let text = export.text(Format::Folded, Some(Table::Family(family)));
        let counts = text.lines().map(|line| line.rsplit(' ').next().unwrap());
        let sum: usize = counts.map(|count| count.parse::<usize>().unwrap()).sum();
        assert_eq!(sum, of_family(&export.events(), family), "{}", family.name());
    }
    let split = r#"{"time":5,"probe":"pmd_split","duration":1,"pid":7,"by":{"pid":7,"tid":7,"comm":"a","cpu":0},"kind":"pmd_split","address":"0x0","into":"table"}
"#;
    let error = Export::of(split).run(Format::Folded, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 event of split, and no stacks: `walkprobe trace --stacks` records them"
    );
}

const HOSTILE: &str = r#"{"time":5,"probe":"pmd_split","duration":1,"pid":7,"by":{"pid":7,"tid":7,"comm":"=1;</script>\u001b\n","cpu":0},"kind":"pmd_split","address":"0x0","into":"table","stacks":{"user":{"frames":[{"address":"0x1","symbol":"a;b 1\n"}]},"kernel":{"frames":[]}}}
{"time":4294967295000000000,"probe":"pmd_split","duration":18446744073709551615,"pid":4294967295,"by":{"pid":4294967295,"tid":0,"comm":"","cpu":65535},"kind":"folio_split","new_order":0,"errno":-2147483648}
"#;

#[test]
fn what_is_hostile_stays_text() {
    let export = Export::of(HOSTILE);
    let table = export.text(Format::Csv, Some(Table::Family(Family::Split)));
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let row = rows.records().next().unwrap().unwrap();
    assert_eq!(&row[7], "'=1;</script>\\x1b\\x0a");
    let json: Value = serde_json::from_str(&export.text(Format::Chrome, None)).unwrap();
    assert_eq!(json["traceEvents"][1]["args"]["name"], Value::Null);
    let folded = export.text(Format::Folded, None);
    assert_eq!(
        folded.lines().collect::<Vec<_>>(),
        ["=1:</script>\\x1b\\x0a;a:b 1\\x0a;pmd_split_[k] 1"]
    );
    let perfetto = export.run(Format::Perfetto, None).unwrap();
    let packets = packets(&perfetto).unwrap();
    let events = packets.iter().filter(|packet| inner(packet, 11).is_some());
    // Of each its beginning, its end, and the moment of the split.
    assert_eq!(events.count(), 6);
}

#[test]
fn what_was_cut_or_damaged_is_exported_as_far_as_it_goes() {
    let mut text = fs::read_to_string(Export::fixture(2).trace).unwrap();
    text = text.split_inclusive('\n').skip(1).take(60).collect();
    let whole = Export::of(&text).text(Format::Chrome, None);
    text.push_str("rubbish\n");
    let damaged = Export::of(&text);
    let error = damaged.run(Format::Chrome, None).unwrap_err();
    assert!(format!("{error:#}").contains("is damaged"), "{error:#}");
    assert_eq!(fs::read_to_string(damaged.output()).unwrap(), whole);
    assert!(serde_json::from_str::<Value>(&whole).is_ok());
}

#[test]
fn what_makes_no_sense_is_said() {
    let export = Export::fixture(2);
    let args = |to, output: Option<&Path>, table| Args {
        file: export.trace.clone(),
        to,
        output: output.map(Path::to_owned),
        table,
    };
    for (args, words) in [
        (args(Format::Csv, None, None), "name a folder with -o"),
        (args(Format::Folded, None, Some(Table::Sizes)), "no callers"),
        (args(Format::Chrome, None, Some(Table::Sizes)), "--table is for"),
        (args(Format::Chrome, Some(&export.trace), None), "is the trace itself"),
        (args(Format::Chrome, Some(Path::new("/nowhere/x")), None), "cannot write /nowhere/x"),
    ] {
        let error = run(&args).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// Field numbers of `perfetto_trace.proto`.
#[test]
fn perfetto_has_every_operation() {
    for format in [1, 2] {
        let export = Export::fixture(format);
        let events = export.events();
        let bytes = export.run(Format::Perfetto, None).unwrap();
        let mut tracks = BTreeMap::new();
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        let mut open: BTreeMap<u64, u64> = BTreeMap::new();
        let mut kinds = [0; 5];
        let mut begun = BTreeSet::new();
        for packet in packets(&bytes).unwrap() {
            assert_eq!(number(&packet, 10), Some(1), "the sequence");
            if let Some(track) = inner(&packet, 60) {
                let parent = number(&track, 5);
                assert!(parent.is_none_or(|parent| tracks.contains_key(&parent)));
                tracks.insert(number(&track, 1).unwrap(), track);
            }
            let Some(event) = inner(&packet, 11) else { continue };
            let time = number(&packet, 8).unwrap();
            let [track, kind] = [11, 9].map(|field| number(&event, field).unwrap());
            assert!(tracks.contains_key(&track));
            assert!(time >= times.insert(track, time).unwrap_or(0), "{event:?}");
            kinds[usize::try_from(kind).unwrap()] += 1;
            match kind {
                1 => {
                    begun.insert(time);
                    *open.entry(track).or_default() += 1;
                }
                2 => *open.get_mut(&track).unwrap() -= 1,
                _ => {}
            }
        }
        assert!(open.values().all(|&open| open == 0));
        let moments = events.iter().filter(|event| event.duration.is_none()).count();
        assert_eq!(kinds[1], events.len() - moments);
        assert_eq!(kinds[2], kinds[1]);
        assert_eq!(kinds[3], moments + changes_of_size(&events));
        let sizes = export.text(Format::Csv, Some(Table::Sizes)).lines().count() - 1;
        assert_eq!(kinds[4], sizes * SizeClass::ALL.len());
        assert!(events.iter().all(|event| begun.contains(&event.time)));
        let threads = tracks.values().filter_map(|track| inner(track, 4));
        let threads: BTreeSet<_> = threads.map(|one| (number(&one, 1), number(&one, 2))).collect();
        let actors: BTreeSet<_> = events.iter().map(|event| (event.by.pid, event.by.tid)).collect();
        assert_eq!(threads.len(), actors.len());
    }
}

/// What a browser makes of it is in `tests/browser.rs`.
#[test]
fn a_report_is_one_file_whose_data_are_data() {
    let export = Export::of(&HOSTILE.replace("</script>", "</script><img src=x>"));
    let page = export.text(Format::Html, None);
    assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2));
    for loaded in ["<img", "<link", "src=", "href=", "@import", "url("] {
        let shown = page.replace("\\u003cimg src=x\\u003e", "");
        assert!(!shown.contains(loaded), "{loaded}");
    }
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["summary"]["events"], 2);
    assert_eq!(data["complaints"][0], "the trace was cut: it ends before its footer");
}
