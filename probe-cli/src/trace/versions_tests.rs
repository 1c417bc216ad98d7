//! A trace of each format that there was stays readable: `tests/traces/`.

use std::path::Path;

use probe_common::probe::Probe;

use super::{format::FORMAT, open::open, reader::Reader, writer::Writer};
use crate::{
    input::{Input, Note},
    sample::{ProcessSample, Sample},
    session::Session,
};

/// What the trace of a format holds.
#[derive(Debug)]
struct Holds {
    events: u64,
    readings: usize,
    /// Bytes in VMAs just before the process ended.
    mapped: u64,
}

fn read(format: u32) -> (Session, Holds) {
    let path = format!("{}/tests/traces/v{format}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let mut reader = open(Path::new(&path)).unwrap();
    assert_eq!(reader.header().format, format);
    let mut session = Session::default();
    let mut readings = 0;
    while let Some(input) = reader.next_input().unwrap() {
        readings += usize::from(matches!(input, Input::Reading(_)));
        session.take(input);
    }
    assert_eq!(reader.complaints(), Vec::<String>::new(), "{path}");
    let footer = reader.footer().unwrap();
    assert_eq!(footer.events, session.events());
    for probe in &footer.probes {
        let fates = [probe.filtered, probe.ignored, probe.counted, probe.emitted];
        let lost = probe.lost_ring + probe.lost_state;
        assert_eq!(probe.seen, fates.iter().sum::<u64>() + lost, "{}", probe.name);
    }
    let pid = reader.header().pids[0];
    let map = session.known(pid).unwrap();
    let mapped = map.vmas().map(crate::model::vma::Vma::bytes).sum();
    let holds = Holds { events: session.events(), readings, mapped };
    (session, holds)
}

#[test]
fn every_format_is_read() {
    for format in 1..=FORMAT {
        let (session, holds) = read(format);
        assert!(holds.events > 100 && holds.readings >= 2, "{format}: {holds:?}");
        assert!(holds.mapped > 1 << 20, "{format}: {holds:?}");
        let causes: Vec<_> = session.log().iter().map(|event| event.probe.name()).collect();
        for cause in ["pmd_split", "collapse", "folio_split", "hugetlb_fault", "exit"] {
            assert!(causes.contains(&cause), "{format}: {cause}");
        }
    }
}

/// What a session took in, written and read again, makes the same session: maps, log and numbers.
#[test]
fn a_session_is_the_same_from_a_file() {
    let path = format!("{}/tests/traces/v{FORMAT}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let mut reader = open(Path::new(&path)).unwrap();
    let mut text = serde_json::to_string(reader.header()).unwrap() + "\n";
    let mut live = Session::default();
    let mut take = |input: Input| {
        text += &Writer::text(&input).unwrap();
        live.take(input);
    };
    while let Some(input) = reader.next_input().unwrap() {
        take(input);
    }
    let process = ProcessSample { pid: 7, comm: "a\\x1b".to_owned(), ..ProcessSample::default() };
    for seconds in 1..=3 {
        let mut sample =
            Sample { time: seconds << 40, missed: seconds, left_out: 1, ..Sample::default() };
        for (number, probe) in Probe::ALL.into_iter().enumerate() {
            let counters = &mut sample.counters[probe.index()];
            (counters.seen, counters.emitted) = (seconds * 1000 + number as u64, seconds);
        }
        sample.processes.push(process.clone());
        sample.processes[0].calls[3] = seconds * seconds;
        sample.processes[0].ns[3] = seconds << 20;
        take(sample.into());
    }
    take(Note::Lost { time: 4 << 40, number: 5 }.into());

    let mut again = Session::default();
    let mut reader = Reader::new(text.as_bytes()).unwrap();
    while let Some(input) = reader.next_input().unwrap() {
        again.take(input);
    }
    assert_eq!(reader.left_out().lines(), 0);
    assert!(live.log() == again.log() && live.log().len() > 100);
    assert_eq!(live.events(), again.events());
    assert_eq!(live.last_sample(), again.last_sample());
    assert_eq!(live.processes(), again.processes());
    assert!(live.processes()[&7].rates[3] > 0.0);
    assert_eq!(live.events_per_second().to_bits(), again.events_per_second().to_bits());
    assert_eq!((live.now(), live.left_out()), (again.now(), again.left_out()));
    assert!(!live.maps().is_empty() && live.maps().keys().eq(again.maps().keys()));
    for (map, other) in live.maps().values().zip(again.maps().values()) {
        assert_eq!(map.snapshot(), other.snapshot());
        assert_eq!(map.pieces(&(0..u64::MAX)), other.pieces(&(0..u64::MAX)));
        assert_eq!(map.transactions(), other.transactions());
    }
}
