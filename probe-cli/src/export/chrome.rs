//! JSON of Chrome's trace events.
//!
//! The format is described in "Trace Event Format" of the Chromium project (catapult); the names of phases are its own.

use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Exporter, Sink,
    counters::Count,
    slices::Thread,
    timeline::{Draw, Timeline, arguments, title},
    tracks::{Tracks, Whose},
};
use crate::{event::Event, model::sizes::SizeClass, trace::header::Header};

/// Begins an export.
///
/// # Errors
/// When it cannot be written.
pub fn exporter(header: &Header, mut out: Sink) -> io::Result<Box<dyn Exporter>> {
    let about = json!({
        "tool": header.tool,
        "kernel": header.kernel,
        "machine": header.machine,
        "command": header.command.join(" "),
        "clock": header.clock.name,
        "realtime_offset_ns": header.clock.realtime_offset.to_string(),
    });
    write!(out, "{{\"displayTimeUnit\":\"ns\",\"otherData\":{about},\"traceEvents\":[")?;
    let chrome = Chrome { out, tracks: Tracks::default(), is_empty: true };
    Ok(Box::new(Timeline::new(chrome)))
}

struct Chrome {
    out: Sink,
    tracks: Tracks,
    is_empty: bool,
}

/// One element of the list.
#[derive(Serialize)]
struct Element<'a> {
    /// The phase: `X` a slice, `i` a moment, `C` a counter, `M` a name.
    ph: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    ts: Micros,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<Micros>,
    pid: u32,
    tid: u32,
    /// How far a moment reaches: `t` its thread, `p` its process, `g` everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    args: Map<String, Value>,
}

impl Default for Element<'_> {
    fn default() -> Self {
        Self {
            ph: "M",
            name: "",
            cat: None,
            ts: Micros(0),
            dur: None,
            pid: 0,
            tid: 0,
            s: None,
            args: Map::new(),
        }
    }
}

/// Nanoseconds that are written as microseconds, exact to the last digit.
#[derive(Clone, Copy)]
struct Micros(u64);

impl Serialize for Micros {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        let raw = serde_json::value::RawValue::from_string(text);
        raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl Chrome {
    fn write(&mut self, element: &Element<'_>) -> io::Result<()> {
        self.out.write_all(if self.is_empty { b"\n" } else { b",\n" })?;
        self.is_empty = false;
        Ok(serde_json::to_writer(&mut self.out, element)?)
    }

    /// Names a process or a thread, when that is news.
    fn name(&mut self, whose: Whose, comm: &str) -> io::Result<()> {
        if !self.tracks.number(whose, comm).1 || comm.is_empty() {
            return Ok(());
        }
        let (name, pid, tid) = match whose {
            Whose::Thread(pid, tid) => ("thread_name", pid, tid),
            Whose::Process(pid) => ("process_name", pid, pid),
            Whose::Changes(_) | Whose::Counter(..) | Whose::Lost | Whose::Notes => return Ok(()),
        };
        let mut args = Map::new();
        args.insert("name".to_owned(), comm.into());
        self.write(&Element { name, pid, tid, args, ..Element::default() })
    }
}

impl Draw for Chrome {
    fn begin(&mut self, event: &Event, end: Option<u64>) -> io::Result<()> {
        let by = &event.by;
        if by.pid == by.tid {
            self.name(Whose::Process(by.pid), &by.comm)?;
        }
        self.name(Whose::Thread(by.pid, by.tid), &by.comm)?;
        let shape = match end {
            Some(end) => Element {
                ph: "X",
                dur: Some(Micros(end.saturating_sub(event.time))),
                ..Element::default()
            },
            None => Element { ph: "i", s: Some("t"), ..Element::default() },
        };
        self.write(&Element {
            name: &title(event),
            cat: Some(event.probe.family().name()),
            ts: Micros(event.time),
            pid: by.pid,
            tid: by.tid,
            args: arguments(event),
            ..shape
        })
    }

    fn end(&mut self, _: Thread, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn change(&mut self, event: &Event, pid: u32) -> io::Result<()> {
        self.write(&Element {
            ph: "i",
            name: &title(event),
            cat: Some("change of size"),
            ts: Micros(event.end()),
            pid,
            tid: pid,
            s: Some("p"),
            args: arguments(event),
            ..Element::default()
        })
    }

    fn count(&mut self, count: &Count) -> io::Result<()> {
        self.name(Whose::Process(count.pid), &count.comm)?;
        let bytes = |class: SizeClass| (class.title().to_owned(), count.sizes.get(class).into());
        self.write(&Element {
            ph: "C",
            name: "bytes by leaf size",
            ts: Micros(count.time),
            pid: count.pid,
            tid: count.pid,
            args: SizeClass::ALL.map(bytes).into_iter().collect(),
            ..Element::default()
        })
    }

    fn lost(&mut self, time: u64, number: u64) -> io::Result<()> {
        let mut args = Map::new();
        args.insert("operations".to_owned(), number.into());
        let name = "lost operations";
        self.write(&Element { ph: "C", name, ts: Micros(time), args, ..Element::default() })
    }

    fn note(&mut self, time: u64, text: &str) -> io::Result<()> {
        self.write(&Element {
            ph: "i",
            name: text,
            ts: Micros(time),
            s: Some("g"),
            ..Element::default()
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()
    }
}
