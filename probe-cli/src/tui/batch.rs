//! The view as plain text, frame after frame.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    Feed, Info, Input,
    columns::places,
    feed::PATIENCE,
    header::{self, Facts},
    log,
    order::{Heading as _, Order},
    own::OwnCost,
    processes,
    rows::{Column, Row, rows},
};
use crate::{
    maps::history,
    session::Session,
    stop::Stop,
    text::{fit, plain},
    track::map::Tracked,
};

/// Wide enough for every column, and for most details of an event.
const WIDTH: u16 = 160;

/// The most events that a frame prints.
const EVENTS: usize = 10;

/// Prints a frame every `interval`, `frames` of them or until `stop` or the end of `out`.
///
/// Rates need two samples, so the first frame waits for the second one.
///
/// # Errors
/// When the feed fails, or writing does; a broken pipe is no error.
pub fn batch(
    mut feed: Box<dyn Feed + Send>,
    info: &Info,
    frames: Option<u64>,
    interval: Duration,
    stop: &Stop,
    mut out: impl Write,
) -> Result<()> {
    let mut session = Session::default();
    let mut own = OwnCost::start();
    let mut samples = 0_u64;
    let mut printed = 0_u64;
    let mut since = Since::default();
    let mut due = Instant::now() + interval;
    while frames.is_none_or(|frames| printed < frames) && !stop.requested() {
        let wait = due.saturating_duration_since(Instant::now()).min(PATIENCE);
        for input in feed.poll(if samples < 2 { PATIENCE } else { wait })? {
            samples += u64::from(matches!(input, Input::Sample(_)));
            session.take(input);
        }
        own.measure();
        if samples < 2 || Instant::now() < due {
            continue;
        }
        match frame(&session, info, own.share(), &since, printed > 0, &mut out) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write a frame")?,
        }
        printed += 1;
        since = Since::now(&session);
        due = Instant::now() + interval;
    }
    Ok(())
}

/// Prints a frame every `interval` of a trace's own time, `frames` of them or until the end of `next` or of `out`; the
/// last one is what stood there at the end.
///
/// # Errors
/// When `next` fails, after a frame of what came before; or writing does; a broken pipe is no error.
pub fn recorded(
    mut next: impl FnMut() -> Result<Option<Input>>,
    info: &Info,
    frames: Option<u64>,
    interval: Duration,
    mut out: impl Write,
) -> Result<()> {
    let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    let mut session = Session::default();
    let mut since = Since::default();
    let mut printed = 0_u64;
    let mut due = info.start.saturating_add(interval);
    loop {
        let input = next();
        let time = match &input {
            Ok(Some(input)) => Some(input.time()),
            Ok(None) | Err(_) => None,
        };
        // Nothing happens in the frames that a long pause leaves out.
        if time.is_none_or(|time| time >= due) {
            match frame(&session, info, None, &since, printed > 0, &mut out) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.context("cannot write a frame")?,
            }
            printed += 1;
            since = Since::now(&session);
            if frames == Some(printed) {
                return Ok(());
            }
        }
        let (Some(input), Some(time)) = (input?, time) else { return Ok(()) };
        if time >= due {
            due = time.saturating_sub((time - due) % interval.max(1)).saturating_add(interval);
        }
        session.take(input);
    }
}

/// What has been printed before.
#[derive(Default)]
struct Since {
    events: u64,
    /// The last operation on each map.
    operations: BTreeMap<u32, u64>,
}

impl Since {
    fn now(session: &Session) -> Self {
        let last = |map: &Tracked| map.transactions().back().map_or(0, |last| last.number);
        let operations = session.maps().iter().map(|(&pid, map)| (pid, last(map)));
        Self { events: session.events(), operations: operations.collect() }
    }
}

/// One frame: the header, the table, the last of the events that are new, and the last of the operations on each
/// map that is followed.
fn frame(
    session: &Session,
    info: &Info,
    own: Option<f64>,
    since: &Since,
    apart: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut rows = rows(session);
    let order = Order::<Column>::default();
    order.sort(&mut rows);
    let position = (None, rows.len());
    let facts = Facts { info, session, own, progress: None, waiting: None, position };
    // One piece of text and one write for a frame: a reader never sees half of one.
    let mut lines = Vec::new();
    if apart {
        lines.push(String::new());
    }
    lines.extend(header::plain(facts, WIDTH));
    lines.push(String::new());
    lines.extend(table(&rows, order));
    lines.extend(news(session, info.start, since.events));
    for (pid, map) in session.maps() {
        let since = since.operations.get(pid).copied().unwrap_or(0);
        lines.extend(operations(map, info.start, since));
    }
    lines.push(String::new());
    out.write_all(lines.join("\n").as_bytes())?;
    out.flush()
}

fn table(rows: &[Row], order: Order<Column>) -> Vec<String> {
    let widths = processes::widths(rows, order, WIDTH);
    let line = |cell: &dyn Fn(Column) -> String| {
        let cells = places(&widths).map(|(i, _, width)| {
            let column = Column::EVERY[i];
            fit(&cell(column), width.into(), column.align())
        });
        cells.collect::<Vec<_>>().join(" ")
    };
    let mut lines = vec![line(&|column| order.heading(column))];
    lines.extend(rows.iter().map(|row| line(&|column| row.cell(column))));
    lines
}

fn news(session: &Session, start: u64, since: u64) -> Vec<String> {
    let widths = log::widths(WIDTH);
    let new = log::numbered(session).filter(|&(number, _)| number >= since);
    let mut last: Vec<_> = new
        .rev()
        .take(EVENTS)
        .map(|(_, event)| log::plain(event, session, start, &widths))
        .collect();
    if last.is_empty() {
        return last;
    }
    let count = session.events() - since;
    last.push(format!("\nevents since the last frame: {count}; the last {}:", last.len()));
    last.reverse();
    last
}

/// What was done to a map; nothing when nothing was.
fn operations(map: &Tracked, start: u64, since: u64) -> Vec<String> {
    let new = map.transactions().iter().rev().take_while(|operation| operation.number > since);
    let mut last: Vec<_> = new
        .take(EVENTS)
        .map(|operation| plain(&history::line(operation, map.pid(), start)))
        .collect();
    let Some(newest) = map.transactions().back().filter(|_| !last.is_empty()) else { return last };
    let (count, pid, comm) = (newest.number - since, map.pid(), plain(map.comm()));
    last.push(format!("\noperations on {pid} {comm}: {count}; the last {}:", last.len()));
    last.reverse();
    last
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        time::Duration,
    };

    use super::{batch, recorded};
    use crate::{
        stop::Stop,
        tui::{
            Feed,
            fixture::{self, Script},
        },
    };

    fn script() -> Box<dyn Feed + Send> {
        let polls = fixture::busy(4).into_iter().map(|input| vec![input]).collect();
        Box::new(Script::new(polls))
    }

    #[test]
    fn frames_are_text() {
        let mut out = Vec::new();
        batch(script(), &fixture::info(), Some(2), Duration::ZERO, &Stop::default(), &mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn followed_maps_tell_their_sizes_and_operations() {
        let mut first = vec![fixture::map(Some(2)).into()];
        first.extend(fixture::busy(2));
        let polls = vec![first, fixture::changes(20), fixture::changes(0)];
        let feed = Box::new(Script::new(polls));
        let mut out = Vec::new();
        batch(feed, &fixture::info(), Some(3), Duration::ZERO, &Stop::default(), &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn no_frame_without_rates() {
        let one_sample = fixture::busy(4).into_iter().take(1).collect();
        let feed = Box::new(Script::new(vec![one_sample]).then_fail("the end"));
        let mut out = Vec::new();
        let ended =
            batch(feed, &fixture::info(), Some(1), Duration::ZERO, &Stop::default(), &mut out);
        assert_eq!(ended.unwrap_err().to_string(), "the end");
        assert_eq!(out, b"");
    }

    #[test]
    fn a_trace_is_shown_by_its_own_time() {
        let all = || fixture::busy(2).into_iter();
        let print = |frames, seconds| {
            let (mut inputs, mut out) = (all(), Vec::new());
            let interval = Duration::from_secs(seconds);
            let next = || Ok(inputs.next());
            recorded(next, &fixture::info(), frames, interval, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let heads = |text: &str| text.matches("walkprobe").count();
        // Three seconds, and the end.
        assert_eq!(heads(&print(None, 1)), 4);
        assert_eq!(heads(&print(Some(2), 1)), 2);
        assert_eq!(heads(&print(None, 100)), 1);
        assert!(print(None, 100).contains("events since the last frame: 18"));
    }

    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_the_end_and_a_full_disk_an_error() {
        let to = |kind| {
            batch(script(), &fixture::info(), None, Duration::ZERO, &Stop::default(), Closed(kind))
        };
        to(io::ErrorKind::BrokenPipe).unwrap();
        assert!(to(io::ErrorKind::StorageFull).is_err());
    }
}
