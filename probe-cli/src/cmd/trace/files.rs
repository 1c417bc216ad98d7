//! Where a trace goes, and when it is full.

use std::path::{Path, PathBuf};

use crate::{
    exit::Failure,
    input::Input,
    probe::Ended,
    trace::{
        footer::{Counts, End, Footer},
        header::Header,
        writer::Writer,
    },
};

/// What is kept free for the last summary and the footer, in bytes.
const END: u64 = 1 << 17;

/// The least size of a file that can be asked for, in bytes.
pub(super) const LEAST: u64 = 1 << 20;

/// What a trace may take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Bytes of all files together.
    pub(super) size: Option<u64>,
    /// Event lines of all files together.
    pub(super) events: Option<u64>,
    /// Bytes of a file, after which another one begins.
    pub(super) rotate: Option<u64>,
}

/// The file that a trace is written to, or one after another.
pub(super) struct Files {
    path: Option<PathBuf>,
    writer: Writer,
    limits: Limits,
    number: u32,
    /// Bytes and event lines of the files before.
    before: (u64, u64),
    full: Option<End>,
}

impl Files {
    /// Opens the first one; `-`, or no path, is standard output.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(super) fn open(path: Option<&Path>, limits: Limits) -> Result<Self, Failure> {
        let path = path.filter(|path| *path != Path::new("-")).map(Path::to_owned);
        let writer = Writer::open(path.as_deref())?;
        Ok(Self { path, writer, limits, number: 0, before: (0, 0), full: None })
    }

    /// Whether it is standard output.
    pub(super) const fn is_standard_output(&self) -> bool {
        self.path.is_none()
    }

    /// Why nothing more is written, if so.
    pub(super) const fn full(&self) -> Option<End> {
        self.full
    }

    /// Bytes of all files, and event lines.
    pub(super) fn total(&self) -> (u64, u64) {
        (self.before.0 + self.writer.size(), self.before.1 + self.writer.events())
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn begin(&mut self, header: &Header) -> Result<(), Failure> {
        self.writer.line(header)?;
        self.writer.flush()
    }

    /// Writes what a session takes in, while there is room.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn input(&mut self, input: &Input) -> Result<(), Failure> {
        if self.full.is_some() {
            return Ok(());
        }
        let most = self.limits.size.map(|size| size.saturating_sub(self.before.0 + END));
        if !self.writer.input_within(input, most.unwrap_or(u64::MAX))? {
            self.full = Some(End::Size);
        } else if self.limits.events.is_some_and(|most| self.total().1 >= most) {
            self.full = Some(End::Events);
        }
        Ok(())
    }

    /// Hands over what is waiting, so that little is lost when this program is killed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn flush_in_time(&mut self) -> Result<(), Failure> {
        self.writer.flush_in_time()
    }

    /// Whether the next file is to be begun.
    pub(super) fn wants_next(&self) -> bool {
        self.full.is_none() && self.limits.rotate.is_some_and(|size| self.writer.size() >= size)
    }

    /// Ends this file, and opens the next one: the first one's name with a number behind it.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(super) fn next(&mut self, footer: &Footer) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        self.writer.line(footer)?;
        self.writer.flush()?;
        self.before = self.total();
        self.number += 1;
        let mut name = path.clone().into_os_string();
        name.push(format!(".{}", self.number));
        self.writer = Writer::create(Path::new(&name), Writer::compresses(path))?;
        Ok(())
    }

    /// Writes the last lines.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn end(&mut self, last: &Input, footer: &Footer) -> Result<(), Failure> {
        // Where there was room it is there already.
        if self.full.is_some() {
            self.writer.input(last)?;
        }
        self.writer.line(footer)?;
        self.writer.flush()
    }

    /// The footer of this file.
    pub(super) fn footer(
        &self,
        time: u64,
        reason: End,
        status: Option<u8>,
        ended: &Ended,
    ) -> Footer {
        Footer {
            time,
            reason,
            command_status: status.map(i32::from),
            events: self.writer.events(),
            lost: ended.lost(),
            missed: ended.missed.iter().sum(),
            unreadable: ended.unreadable,
            stacks_lost: ended.stacks_lost,
            probes: Counts::all(&ended.counters, &ended.missed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{END, Files, Limits};
    use crate::{
        input::{Input, Note},
        model::fixture::vma,
        probe::Ended,
        trace::{footer::End, header::Header, open::open},
        track::fixture,
    };

    fn header() -> Header {
        let old = format!("{}/tests/traces/v2.jsonl", env!("CARGO_MANIFEST_DIR"));
        open(Path::new(&old)).unwrap().header().clone()
    }

    fn ended() -> Ended {
        use probe_common::{counters::Counters, probe::PROBES};
        let counters = [Counters::default(); PROBES];
        Ended { counters, unreadable: 0, missed: [0; PROBES], stacks_lost: None }
    }

    /// Writes until it is full; gives the number of events.
    fn fill(files: &mut Files) -> u64 {
        for time in 0.. {
            files.input(&fixture::split(time, 0).into()).unwrap();
            if files.full().is_some() {
                break;
            }
        }
        files.total().1
    }

    #[test]
    fn it_ends_where_it_was_asked_to() {
        let folder = tempfile::tempdir().unwrap();
        for (name, limits, reason) in [
            ("e.jsonl", Limits { events: Some(7), ..Limits::default() }, End::Events),
            ("s.jsonl", Limits { size: Some(1 << 20), ..Limits::default() }, End::Size),
            ("s.jsonl.zst", Limits { size: Some(1 << 20), ..Limits::default() }, End::Size),
        ] {
            let path = folder.path().join(name);
            let mut files = Files::open(Some(&path), limits).unwrap();
            files.begin(&header()).unwrap();
            let events = fill(&mut files);
            assert_eq!((files.full(), events == 7), (Some(reason), reason == End::Events));
            let footer = files.footer(9, reason, None, &ended());
            files.end(&Note::Left { time: 9, pid: 1 }.into(), &footer).unwrap();
            let size = fs::metadata(&path).unwrap().len();
            assert_eq!(size, files.total().0, "{name}");
            if let Some(most) = limits.size {
                assert!((most - 2 * END..=most).contains(&size), "{name}: {size}");
            }
            let mut reader = open(&path).unwrap();
            let mut read = 0;
            while reader.next_input().unwrap().is_some() {
                read += 1;
            }
            assert_eq!((read, reader.footer()), (events + 1, Some(&footer)));
        }
    }

    #[test]
    fn each_file_stands_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl.zst");
        let limits = Limits { rotate: Some(1 << 16), ..Limits::default() };
        let mut files = Files::open(Some(&path), limits).unwrap();
        files.begin(&header()).unwrap();
        for time in 0..20_000 {
            files.input(&fixture::split(time, 0).into()).unwrap();
            if files.wants_next() {
                let footer = files.footer(time, End::Rotated, None, &ended());
                files.next(&footer).unwrap();
                files.begin(&header()).unwrap();
                files.input(&fixture::start(time, vma(0..8192), vec![]).into()).unwrap();
            }
        }
        let footer = files.footer(9, End::Signal, None, &ended());
        files.end(&Note::Left { time: 9, pid: 1 }.into(), &footer).unwrap();
        let (mut events, mut number) = (0, 0);
        loop {
            let name = if number == 0 {
                "t.jsonl.zst".to_owned()
            } else {
                format!("t.jsonl.zst.{number}")
            };
            let Ok(mut reader) = open(&folder.path().join(name)) else { break };
            while let Some(input) = reader.next_input().unwrap() {
                events += u64::from(matches!(input, Input::Event(_)));
            }
            let last = reader.footer().unwrap();
            assert!(last.reason == End::Rotated || *last == footer);
            number += 1;
        }
        assert_eq!((events, files.total().1), (20_000, 20_000));
        assert!(number > 3);
    }
}
