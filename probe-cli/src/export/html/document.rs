//! What a report tells: the data in its page.

use probe_common::probe::Family;
use serde::Serialize;

use super::{
    areas::{Area, areas, letter},
    history::History,
};
use crate::{
    export::number,
    maps::tone::Tone,
    model::sizes::{SizeClass, Sizes},
    stats::{ProcessTotal, Summary},
    trace::header::Header,
};

/// Rows of the table of VMAs.
const VMAS: usize = 50;

/// Everything that the page shows. Times are in ns since the beginning of the trace, but for one.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    header: &'a Header,
    /// When the trace begins, in ms since 1970.
    since_1970: u64,
    /// When the first column begins.
    start: u64,
    /// How long a column is.
    width: u64,
    columns: usize,
    tones: Vec<Class>,
    classes: Vec<Class>,
    processes: Vec<Process<'a>>,
    families: Vec<OfFamily>,
    summary: Summary,
    /// What is wrong with the trace.
    complaints: &'a [String],
    /// What the page has no room for.
    pub(super) left_out: Vec<String>,
}

/// What a colour means.
#[derive(Debug, Serialize)]
struct Class {
    /// In pictures.
    letter: Option<char>,
    word: &'static str,
    colour: &'static str,
}

#[derive(Debug, Serialize)]
struct Process<'a> {
    pid: u32,
    comm: &'a str,
    /// Bytes of each class for each column; nothing when they are as before.
    sizes: Vec<Option<Vec<u64>>>,
    areas: Vec<Area>,
    total: Option<ProcessTotal>,
}

/// Events of a family for each column.
#[derive(Debug, Serialize)]
struct OfFamily {
    name: &'static str,
    events: Vec<u64>,
}

impl<'a> Document<'a> {
    pub(super) fn new(
        header: &'a Header,
        history: &'a History,
        mut summary: Summary,
        complaints: &'a [String],
        mut left_out: Vec<String>,
    ) -> Self {
        let processes = history.names.iter().map(|(&pid, comm)| {
            let (areas, areas_left_out) = areas(&history.columns, pid);
            let shots = history.columns.iter().filter_map(|column| column.shots.get(&pid));
            let vmas_left_out = shots.map(|shot| shot.left_out).max().unwrap_or(0);
            for (left, one, many) in [
                (areas_left_out, "area", "areas"),
                (vmas_left_out, "VMA at a time", "VMAs at a time"),
            ] {
                if left > 0 {
                    let left = number(left as u64, one, many);
                    left_out.push(format!("process {pid}: the picture has no room for {left}"));
                }
            }
            let total = summary.processes.iter().find(|process| process.pid == pid).cloned();
            Process { pid, comm, sizes: sizes(history, pid), areas, total }
        });
        let processes = processes.collect();
        if !history.left_out.is_empty() {
            let left = number(history.left_out.len() as u64, "process", "processes");
            left_out.push(format!("the pictures of {left} more"));
        }
        if summary.vmas.len() > VMAS {
            let more = summary.vmas.len() - VMAS;
            left_out.push(format!("{more} more rows by VMA: `walkprobe stats --json` has them"));
            summary.vmas.truncate(VMAS);
        }
        let family = |(index, family): (usize, &Family)| OfFamily {
            name: family.name(),
            events: history
                .columns
                .iter()
                .map(|column| column.events.get(index).copied().unwrap_or(0))
                .collect(),
        };
        let begun = header.clock.start;
        let since_1970 = begun.saturating_add_signed(header.clock.realtime_offset);
        Self {
            header,
            since_1970: since_1970 / 1_000_000,
            start: history.start.unwrap_or(begun).saturating_sub(begun),
            width: history.width,
            columns: history.columns.len(),
            tones: Tone::all().map(Class::of).collect(),
            classes: SizeClass::ALL.into_iter().map(Class::of_size).collect(),
            processes,
            families: Family::ALL.iter().enumerate().map(family).collect(),
            summary,
            complaints,
            left_out,
        }
    }
}

impl Class {
    fn of(tone: Tone) -> Self {
        let face = tone.face();
        Self { letter: Some(letter(tone)), word: face.word, colour: face.rgb }
    }

    fn of_size(class: SizeClass) -> Self {
        let colour = Tone::of_column(class).face().rgb;
        Self { letter: None, word: class.title(), colour }
    }
}

fn sizes(history: &History, pid: u32) -> Vec<Option<Vec<u64>>> {
    let mut before = None;
    let one = |sizes: Sizes| {
        if before.replace(sizes) == Some(sizes) {
            return None;
        }
        Some(SizeClass::ALL.into_iter().map(|class| sizes.get(class)).collect())
    };
    let shots = history.columns.iter().map(|column| column.shots.get(&pid));
    shots.map(|shot| shot.map(|shot| shot.sizes).unwrap_or_default()).map(one).collect()
}
