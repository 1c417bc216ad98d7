//! The header: where this runs, what is watched, what it costs, and what is missing.

use std::fmt::Write as _;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{Info, Mode, columns::GAP, rows::percent, theme::Theme};
use crate::{
    input::{Pace, Progress},
    session::Session,
    text::{self, Align, fit},
    units,
};

/// What the header tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) info: &'a Info,
    /// What is known by now, also while the view is paused.
    pub(super) session: &'a Session,
    /// This process's share of a CPU.
    pub(super) own: Option<f64>,
    /// How the replay goes, where there is one.
    pub(super) progress: Option<&'a Progress>,
    /// Events that came while the view is paused; none: it is not paused.
    pub(super) waiting: Option<u64>,
    /// The place of the selected process, and how many processes there are.
    pub(super) position: (Option<usize>, usize),
}

/// A piece of the header that is never torn apart.
struct Piece {
    label: &'static str,
    value: String,
    style: Style,
}

impl Piece {
    fn line(self, theme: Theme) -> Line<'static> {
        let mut line = Line::default();
        if !self.label.is_empty() {
            line.push_span(Span::styled(format!("{} ", self.label), theme.label()));
        }
        line.push_span(Span::styled(self.value, self.style));
        line
    }
}

/// Between two pieces.
const BETWEEN: u16 = 2 * GAP;

/// The header's lines in this width: two that flow, and one for each thing that is missing.
pub(super) fn lines(facts: Facts<'_>, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let mut lines = flow(still(facts, theme), theme, width);
    lines.extend(flow(live(facts, theme), theme, width));
    lines.extend(missing(facts.session).into_iter().map(|text| {
        Line::styled(fit(&text, width.into(), Align::Left).trim_end().to_owned(), theme.alarm())
    }));
    lines
}

/// Draws lines, as many as there is room for.
pub(super) fn render(lines: &[Line<'static>], area: Rect, buffer: &mut Buffer) {
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        buffer.set_line(area.x, y, line, area.width);
    }
}

/// What does not change.
fn still(facts: Facts<'_>, theme: Theme) -> Vec<Piece> {
    let info = facts.info;
    let probes = format!("{} of {}", info.attached, info.wanted);
    let (mode, style) = match &info.mode {
        Mode::Full => ("full".to_owned(), Theme::value()),
        Mode::Reduced(why) => (format!("reduced: {why}"), theme.notice()),
    };
    vec![
        Piece { label: "", value: "walkprobe".to_owned(), style: theme.title() },
        Piece { label: "Linux", value: info.release.clone(), style: Theme::value() },
        Piece { label: "probes", value: probes, style: Theme::value() },
        Piece { label: "mode", value: mode, style },
    ]
}

/// What changes all the time.
fn live(facts: Facts<'_>, theme: Theme) -> Vec<Piece> {
    let lost = facts.session.last_sample().map_or(0, crate::sample::Sample::lost);
    let lost_style = if lost > 0 { theme.alarm() } else { Theme::value() };
    let own = facts.own.map_or_else(|| "-".to_owned(), |own| format!("{}%", percent(own)));
    let processes = match facts.position {
        (Some(place), all) => format!("{place}/{all}"),
        (None, all) => all.to_string(),
    };
    let events = units::rate(facts.session.events_per_second());
    let mut pieces = Vec::new();
    if let Some(waiting) = facts.waiting {
        let value = format!("PAUSED, {} events wait", units::count(waiting));
        pieces.push(Piece { label: "", value, style: theme.notice() });
    }
    if let Some(progress) = facts.progress {
        pieces.push(replay(progress, facts.info.start, theme));
    }
    pieces.extend([
        Piece { label: "events/s", value: events, style: Theme::value() },
        Piece { label: "lost", value: units::count(lost), style: lost_style },
        Piece { label: "own CPU", value: own, style: Theme::value() },
        Piece { label: "processes", value: processes, style: Theme::value() },
    ]);
    pieces.extend(sizes(facts.session));
    pieces
}

/// Which moment of a trace is shown, and how it goes on.
fn replay(progress: &Progress, start: u64, theme: Theme) -> Piece {
    let (pace, style) = match progress.pace {
        Pace::Plays => ("plays", Theme::value()),
        Pace::Paused => ("PAUSED", theme.notice()),
        Pace::Seeks => ("seeks", theme.notice()),
        Pace::Ended => ("THE END", theme.notice()),
    };
    let speed = units::times(progress.speed);
    let at = units::seconds_since(start, progress.time);
    let mut value = format!("{at}s {pace} x{speed}");
    if let Some(said) = &progress.said {
        let _ = write!(value, ", {}", text::plain(said));
    }
    Piece { label: "at", value, style }
}

/// How old the totals by leaf size are, and of how many processes there are none.
fn sizes(session: &Session) -> Option<Piece> {
    let census = session.census();
    let oldest = census.oldest()?;
    let age = units::age(session.now().saturating_sub(oldest));
    let mut value = format!("of {}, up to {age} old", census.iter().len());
    if census.left_out() > 0 {
        let _ = write!(value, ", {} left out", census.left_out());
    }
    Some(Piece { label: "sizes", value, style: Theme::value() })
}

/// One sentence for each kind of thing that is missing, and what that means for what is shown.
pub(super) fn missing(session: &Session) -> Vec<String> {
    let Some(sample) = session.last_sample() else { return Vec::new() };
    let ring: u64 = sample.counters.iter().map(|counters| counters.lost_ring).sum();
    let state: u64 = sample.counters.iter().map(|counters| counters.lost_state).sum();
    let sentence =
        |number: u64, what: &str| (number > 0).then(|| format!("{} {what}", units::count(number)));
    [
        sentence(ring, "events lost, the ring was full: the log has gaps, the rates are right"),
        sentence(state, "operations lost, too many at once: the rates and times are too low"),
        sentence(
            sample.left_out,
            "operations left out, the process table was full: rows are missing",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Puts pieces into as many lines as they need; a piece that is wider than a line is cut.
fn flow(pieces: Vec<Piece>, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for piece in pieces {
        let piece = shorten(piece.line(theme), width);
        let between = usize::from(BETWEEN);
        match lines.last_mut() {
            Some(line) if line.width() + between + piece.width() <= width => {
                line.push_span(Span::raw(" ".repeat(between)));
                line.spans.extend(piece.spans);
            }
            _ => lines.push(piece),
        }
    }
    lines
}

fn shorten(mut line: Line<'static>, width: usize) -> Line<'static> {
    let over = line.width().saturating_sub(width);
    if let (true, Some(last)) = (over > 0, line.spans.last_mut()) {
        let room = last.width().saturating_sub(over);
        last.content = fit(&last.content, room, Align::Left).into();
    }
    line
}

/// The same as plain text, for batch output.
pub(super) fn plain(facts: Facts<'_>, width: u16) -> Vec<String> {
    lines(facts, Theme::new(false), width).iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::{Facts, plain};
    use crate::{
        session::Session,
        tui::{Info, Mode, fixture},
    };

    #[test]
    fn a_piece_is_never_torn_apart_and_never_too_wide() {
        let info = Info {
            mode: Mode::Reduced("this kernel refuses fentry and kprobes".to_owned()),
            ..fixture::info()
        };
        let session = Session::default();
        let facts = Facts {
            info: &info,
            session: &session,
            own: None,
            progress: None,
            waiting: Some(3),
            position: (None, 2),
        };
        for width in 1..200 {
            for line in plain(facts, width) {
                assert!(line.chars().count() <= usize::from(width).max(10), "{line:?} in {width}");
            }
        }
        assert_eq!(
            plain(facts, 40),
            [
                "walkprobe  Linux 6.12.9-amd64",
                "probes 14 of 16",
                "mode reduced: this kernel refuses fentr…",
                "PAUSED, 3 events wait  events/s 0",
                "lost 0  own CPU -  processes 2",
            ]
        );
    }
}
