//! A picture of the whole address space: a self-contained SVG file without scripts.

use std::{
    fmt::Write as _,
    io::{self, Write},
    ops::Range,
};

use super::{
    strip::{self, Shown},
    tone::{TONES, Tone},
    totals::percent,
};
use crate::{
    model::{map::LeafMap, set::TranslationSet, statistics::Statistics},
    text::{Align, fit, plain},
    units,
};

/// Slices of a VMA, each some pixels wide.
const CELLS: usize = 128;
const CELL: usize = 5;
/// Height of a line and of the bar in it.
const LINE: usize = 18;
const BAR: usize = 12;
/// Where the bars start; where the names start.
const LEFT: usize = 400;
const RIGHT: usize = LEFT + CELLS * CELL + 10;
const WIDTH: usize = RIGHT + 430;
const MARGIN: usize = 10;

const STYLE: &str = "text{font:12px monospace;fill:#1c1917;white-space:pre}\
                     .h{font-weight:bold}.q{fill:#78716c}.b{fill:#fafaf9;stroke:#d6d3d1}";

/// A picture to which sets are added. The same sets give the same bytes.
#[derive(Debug, Default)]
pub struct Picture {
    body: String,
    lines: usize,
    shown: Shown,
}

impl Picture {
    /// Adds a set: a heading, a line for each VMA, and one for each gap between two.
    pub fn add(&mut self, set: &TranslationSet) {
        let origin = set.origin();
        let statistics = set.statistics();
        let covered = statistics.coverage().map_or("-".to_owned(), percent);
        let heading = format!(
            "process {} ({}): {} mapped, {covered} by leaves of 2M and more, {}",
            origin.pid,
            origin.comm,
            units::bytes(statistics.mapped()),
            origin.source,
        );
        if self.lines > 0 {
            self.lines += 1;
        }
        self.text(MARGIN, "h", &heading);
        self.lines += 1;
        let mut end = None;
        for map in set.maps() {
            let start = map.vma().start;
            if let Some(gap) = end.map(|end| start - end).filter(|&gap| gap > 0) {
                self.text(LEFT, "q", &format!("gap of {}", units::bytes(gap)));
                self.lines += 1;
            }
            end = Some(map.vma().end);
            self.vma(map);
            self.lines += 1;
        }
    }

    /// Writes the picture with its legend.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        self.lines += 1;
        for tone in self.shown.tones() {
            let y = self.top();
            bar(&mut self.body, MARGIN, y, 3 * CELL, tone);
            self.body.push_str("/>\n");
            self.text(MARGIN + 4 * CELL, "", tone.face().word);
            self.lines += 1;
        }
        let height = self.lines * LINE + 2 * MARGIN;
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\">\n<title>Leaf map by walkprobe</title>\n\
             <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"
        )?;
        out.write_all(self.body.as_bytes())?;
        writeln!(out, "</svg>")
    }

    fn vma(&mut self, map: &LeafMap) {
        let vma = map.vma();
        let statistics: Statistics = map.iter().collect();
        let about = format!(
            "{:x}-{:x} {} {} {}",
            vma.start,
            vma.end,
            vma.permissions,
            units::bytes(vma.bytes()),
            vma.kind
        );
        self.text(MARGIN, "", &about);
        let tones = strip::tones(map, CELLS);
        let y = self.top();
        let _ = writeln!(
            self.body,
            "<rect class=\"b\" x=\"{LEFT}\" y=\"{y}\" width=\"{}\" height=\"{BAR}\"/>",
            tones.len() * CELL
        );
        let mut cell = 0;
        for same in tones.chunk_by(|a, b| a == b) {
            let tone = same[0];
            self.shown.insert(tone);
            let range = strip::slice(map, CELLS, cell).start
                ..strip::slice(map, CELLS, cell + same.len() - 1).end;
            let tip = format!("{:x}-{:x}: {}", range.start, range.end, content(map, &range));
            bar(&mut self.body, LEFT + cell * CELL, y, same.len() * CELL, tone);
            let _ = writeln!(self.body, "><title>{}</title></rect>", escape(&tip));
            cell += same.len();
        }
        let covered = statistics.coverage().map_or("-".to_owned(), percent);
        self.text(RIGHT, "", &format!("{} {}", fit(&covered, 6, Align::Right), vma.name));
    }

    fn text(&mut self, x: usize, class: &str, text: &str) {
        let y = self.top() + BAR - 2;
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.body, "<text x=\"{x}\" y=\"{y}\"{class}>{}</text>", escape(text));
    }

    const fn top(&self) -> usize {
        MARGIN + self.lines * LINE
    }
}

/// What is in a range: `2M 20M, hole 4K`.
fn content(map: &LeafMap, range: &Range<u64>) -> String {
    let mut bytes = [0; TONES];
    for batch in map.walk(range.clone()) {
        bytes[Tone::from(&batch.run).index()] += batch.run.overlap(range);
    }
    let found = Tone::all().filter(|tone| bytes[tone.index()] > 0);
    let words =
        found.map(|tone| format!("{} {}", tone.face().word, units::bytes(bytes[tone.index()])));
    words.collect::<Vec<_>>().join(", ")
}

/// The start of a rectangle, which stands on the line's ground.
fn bar(body: &mut String, x: usize, y: usize, width: usize, tone: Tone) {
    let face = tone.face();
    let height = BAR * face.tenths as usize / 10;
    let _ = write!(
        body,
        "<rect x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{height}\" fill=\"{}\"",
        y + BAR - height,
        face.rgb
    );
}

/// Text that means nothing to an XML parser, without the characters that XML does not allow.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in plain(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
