//! Traces that were written, cut, damaged and made up.

use std::io::{self, BufReader, Read};

use super::{ReadError, Reader};
use crate::{
    input::{Input, Note},
    model::fixture::vma,
    sample::{ProcessSample, Sample},
    trace::{
        format::{LONGEST, LONGEST_OTHER},
        writer::Writer,
    },
    track::fixture,
};

const HEADER: &str = "{\"kind\":\"header\",\"format\":2,\"tool\":\"x\",\"kernel\":\"6.1\",\"machine\":\"x86_64\",\"command\":[],\
\"pids\":[7],\"clock\":{\"name\":\"CLOCK_MONOTONIC\",\"start\":1,\"realtime_offset\":-1},\"mode\":\"full\",\"probes\":[]}\n";

fn read(text: &str) -> Result<Vec<Input>, ReadError> {
    let mut reader = Reader::new(text.as_bytes())?;
    let mut inputs = Vec::new();
    while let Some(input) = reader.next_input()? {
        inputs.push(input);
    }
    Ok(inputs)
}

/// Reads lines after a header; gives what is said about them.
fn told(lines: &str) -> Vec<String> {
    let text = format!("{HEADER}{lines}");
    let mut reader = Reader::new(text.as_bytes()).unwrap();
    while reader.next_input().unwrap().is_some() {}
    reader.complaints()
}

#[test]
fn what_was_written_is_read() {
    let inputs = [
        Input::from(fixture::start(5, vma(0..8192), vec![])),
        fixture::split(10, 0).into(),
        Note::Lost { time: 20, number: 3 }.into(),
        Note::Unread { time: 25, pid: 7, why: "busy".to_owned() }.into(),
        Sample { time: 28, ..Sample::default() }.into(),
        Note::Left { time: 30, pid: 7 }.into(),
        Note::Gone { time: 30, pid: 7 }.into(),
    ];
    let mut text = HEADER.to_owned();
    for input in &inputs {
        text.push_str(&Writer::text(input).unwrap());
    }
    assert_eq!(read(&text).unwrap(), inputs);
    // Cut anywhere, what is whole is read.
    for cut in HEADER.len()..text.len() {
        let whole = text[HEADER.len()..cut].matches('\n').count();
        assert_eq!(read(&text[..cut]).unwrap(), inputs[..whole], "{cut}");
    }
}

#[test]
fn what_is_no_trace_is_refused() {
    assert!(matches!(read(""), Err(ReadError::NoHeader)));
    assert!(matches!(read("{\"kind\":\"fault\"}\n"), Err(ReadError::NoHeader)));
    assert!(matches!(read("{\"kind\":\"header\"}\n"), Err(ReadError::NoHeader)));
    assert!(matches!(read("{\"kind\":\"header\",\"format\":2}\n"), Err(ReadError::Header(_))));
    assert!(matches!(read("{\"kind\":\"header\",\"format\":3}\n"), Err(ReadError::Later(3))));
    assert!(matches!(read(&format!("{HEADER}x\n")), Err(ReadError::Line { line: 2, .. })));
}

#[test]
fn what_is_unknown_is_left_out_and_told() {
    let lines = "{\"kind\":\"later\",\"time\":\"yesterday\"}\n{\"kind\":\"zap\",\"time\":1}\n";
    let text = format!("{HEADER}{lines}");
    let mut reader = Reader::new(text.as_bytes()).unwrap();
    assert!(reader.next_input().unwrap().is_none());
    assert_eq!(reader.left_out().unknown.keys().collect::<Vec<_>>(), ["later", "zap"]);
    assert_eq!(
        reader.complaints(),
        [
            "the trace was cut: it ends before its footer",
            "2 lines are of a later format and were left out: a later walkprobe reads them"
        ]
    );
}

#[test]
fn what_cannot_be_is_left_out_and_told() {
    let event = |detail: &str| {
        format!(
            "{{\"time\":1,\"probe\":\"zap\",\"by\":{{\"pid\":1,\"tid\":1,\"comm\":\"a\",\"cpu\":0}},{detail}}}\n"
        )
    };
    let backwards = event("\"kind\":\"zap\",\"start\":\"0x2000\",\"end\":\"0x1000\"");
    assert_eq!(
        told(&backwards)[1],
        "1 lines say what cannot be, and were left out; the first is line 2"
    );
    let reading = "{\"kind\":\"reading\",\"time\":18446744073709551615,\"duration\":18446744073709551615,\"pid\":1,\
        \"comm\":\"a\",\"why\":\"start\",\"source\":\"pagemap\",\"ranges\":[],\"runs\":[{\"start\":\"0x0\",\"size\":4096,\
        \"count\":18446744073709551615,\"kind\":\"present\"}],\"torn\":0}\n";
    assert_eq!(
        told(reading)[1],
        "1 lines say what cannot be, and were left out; the first is line 2"
    );
}

#[test]
fn depth_does_no_harm() {
    let nested = |open: &str, close: &str| {
        format!(
            "{{\"kind\":\"zap\",\"later\":{}1{}}}\n",
            open.repeat(100_000),
            close.repeat(100_000)
        )
    };
    for line in [nested("[", "]"), nested("{\"a\":", "}")] {
        assert!(told(&line)[1].contains("later format"));
        let inside = line.replace("zap", "reading").replace("later", "runs");
        assert!(matches!(read(&format!("{HEADER}{inside}")), Err(ReadError::Line { .. })));
    }
}

#[test]
fn hostile_lines_are_one_error() {
    for line in [
        "{\"kind\":\"lost\",\"time\":99999999999999999999,\"number\":1}\n".to_owned(),
        "{\"kind\":\"lost\",\"time\":1e999,\"number\":1}\n".to_owned(),
        "{\"kind\":\"lost\",\"time\":-1,\"number\":1}\n".to_owned(),
        "{\"kind\":\"reading\",\"vmas\":7}\n".to_owned(),
        "{\"kind\":7}\n".to_owned(),
        "[]\n".to_owned(),
        "\n".to_owned(),
        "{\"kind\":\"zap\u{0}\"}\n".to_owned(),
    ] {
        let outcome = read(&format!("{HEADER}{line}"));
        let shown: String = line.chars().take(60).collect();
        assert!(matches!(outcome, Err(ReadError::Line { line: 2, .. })), "{shown}: {outcome:?}");
    }
    let not_text = [HEADER.as_bytes(), b"{\"kind\":\"\xff\"}\n"].concat();
    let mut reader = Reader::new(&not_text[..]).unwrap();
    assert!(matches!(reader.next_input(), Err(ReadError::Line { .. })));
}

/// So many bytes of one kind, made as they are asked for.
fn endless(length: u64) -> impl Read {
    io::repeat(b'[').take(length)
}

#[test]
fn a_line_of_a_gigabyte_is_one_error() {
    let text = HEADER.as_bytes().chain(endless(1 << 30));
    let mut reader = Reader::new(BufReader::new(text)).unwrap();
    assert!(matches!(reader.next_input(), Err(ReadError::Long { line: 2 })));
    assert_eq!(reader.bytes(), (HEADER.len() + LONGEST) as u64);
    // As the first line, too.
    let first = Reader::new(BufReader::new(endless(1 << 30)));
    assert!(matches!(first.err(), Some(ReadError::Long { line: 1 })));
}

#[test]
fn texts_of_a_file_are_made_harmless() {
    let header = HEADER.replace("\"6.1\"", "\"6.1\\u001b[2J\"");
    let line = "{\"kind\":\"unread\",\"time\":1,\"pid\":1,\"why\":\"\\u0007\"}\n";
    let text = format!("{header}{line}");
    let mut reader = Reader::new(text.as_bytes()).unwrap();
    assert_eq!(reader.header().kernel, "6.1\\x1b[2J");
    let unread = Note::Unread { time: 1, pid: 1, why: "\\x07".to_owned() };
    assert_eq!(reader.next_input().unwrap(), Some(unread.into()));
}

#[test]
fn what_is_larger_than_can_be_is_left_out() {
    let line = |input: Input| Writer::text(&input).unwrap();
    let mut event = fixture::split(10, 0);
    event.by.comm = "a".repeat(LONGEST_OTHER);
    let mut named = fixture::start(5, vma(0..8192), vec![]);
    named.vmas.iter_mut().flatten().for_each(|vma| vma.name = "a".repeat(1 << 20));
    let many = Sample { processes: vec![ProcessSample::default(); 16385], ..Sample::default() };
    let why = "a".repeat(LONGEST_OTHER);
    let note = Note::Unread { time: 25, pid: 7, why };
    for input in [event.into(), Input::from(named), many.into(), note.into()] {
        assert_eq!(
            told(&line(input)).last().unwrap(),
            "1 lines say what cannot be, and were left out; the first is line 2"
        );
    }
}
