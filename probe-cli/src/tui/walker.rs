//! One walker: how long the calls of both paths take, side by side, and who walks whom.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{keys::Action, rule, theme::Theme, walker_rows::Key};
use crate::{
    event::Path,
    text::{Align, fit},
    units,
    walk::{
        report::{LevelRatio, Party, Report, RowReport, WalkerReport},
        text::who,
    },
};

/// What the user made of it.
#[derive(Debug)]
pub(super) struct OneWalker {
    key: Key,
    area: Rect,
    /// The first line in view.
    offset: usize,
    /// Lines in all.
    lines: usize,
}

/// A line of the page.
enum Line {
    Text(String, Style),
    /// The title of a part.
    Rule(&'static str),
}

/// The cells of a duration, and of a share.
const TIME: usize = 7;
const SHARE: usize = 4;

impl OneWalker {
    pub(super) fn new(key: Key) -> Self {
        Self { key, area: Rect::ZERO, offset: 0, lines: 0 }
    }

    /// Does what a key asks for: it scrolls.
    pub(super) fn act(&mut self, action: Action) {
        let page = usize::from(self.area.height.max(2) - 1);
        self.offset = match action {
            Action::Up => self.offset.saturating_sub(1),
            Action::Down => self.offset.saturating_add(1),
            Action::PageUp => self.offset.saturating_sub(page),
            Action::PageDown => self.offset.saturating_add(page),
            Action::First => 0,
            Action::Last => usize::MAX,
            _ => self.offset,
        };
        self.scroll();
    }

    fn scroll(&mut self) {
        self.offset = self.offset.min(self.lines.saturating_sub(self.area.height.into()));
    }

    /// Tells it how much room it has; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, report: &Report, area: Rect) {
        self.area = area;
        let walker = report.walkers.get(self.key.0);
        // It may have been opened before it was called.
        self.key.1 = self.key.1.or_else(|| {
            let rows = walker.into_iter().flat_map(|walker| &walker.rows);
            Some(rows.max_by_key(|row| row.ns)?.level)
        });
        self.lines = walker.map_or(0, |walker| self.lines(walker, Theme::new(false)).len());
        self.scroll();
    }

    /// Draws it.
    pub(super) fn render(&self, report: &Report, theme: Theme, buffer: &mut Buffer) {
        let Some(walker) = report.walkers.get(self.key.0) else { return };
        let area = self.area;
        let lines = self.lines(walker, theme).into_iter().skip(self.offset);
        for (y, line) in (area.y..area.bottom()).zip(lines) {
            match line {
                Line::Rule(title) => {
                    rule::render(title, theme, Rect { y, height: 1, ..area }, buffer);
                }
                Line::Text(text, style) => {
                    let text = fit(&text, area.width.into(), Align::Left);
                    buffer.set_stringn(area.x, y, text, area.width.into(), style);
                }
            }
        }
    }

    /// The whole page.
    fn lines(&self, walker: &WalkerReport, theme: Theme) -> Vec<Line> {
        let level = self.key.1;
        let leaf = level.map_or_else(String::new, |level| format!("  {} leaves", level.name()));
        let ratio = walker.ratios.iter().find(|ratio| Some(ratio.level) == level);
        let at = |path| walker.rows.iter().find(|row| row.path == path && Some(row.level) == level);
        let (generic, hugetlb) = (at(Some(Path::Generic)), at(Some(Path::Hugetlb)));
        let mut lines = vec![
            Line::Text(format!("{}{leaf}  {}", walker.name, walker.trigger), theme.title()),
            Line::Text(format!("generic: {}", walker.generic.text), Style::new()),
            Line::Text(format!("hugetlb: {}", walker.hugetlb.text), Style::new()),
        ];
        lines.extend(ratio.map(|ratio| Line::Text(sentence(ratio), Theme::value())));
        lines.push(Line::Rule("How long calls take, with what the probes take of them"));
        let untold = at(None);
        let name = if untold.is_some() { "UNTOLD" } else { "GENERIC" };
        self.histograms(&[(name, generic.or(untold)), ("HUGETLB", hugetlb)], &mut lines);
        lines.push(Line::Rule("Who walks, and who is walked, of all leaves and both paths"));
        self.parties(walker, &mut lines);
        lines
    }

    /// Calls by duration, a line for each power of two, both paths side by side on one scale.
    fn histograms(&self, paths: &[(&str, Option<&RowReport>); 2], lines: &mut Vec<Line>) {
        let room = usize::from(self.area.width).saturating_sub(TIME) / 2;
        let bar = room.saturating_sub(SHARE + 2);
        let heading = paths.map(|(name, row)| {
            let calls = row.map_or_else(|| "-".to_owned(), |row| calls(row.calls));
            format!(" {}", fit(&format!("{name} {calls}"), room.saturating_sub(1), Align::Left))
        });
        let time = fit("FROM", TIME, Align::Right);
        lines.push(Line::Text(format!("{time}{}{}", heading[0], heading[1]), Theme::value()));
        let shares = paths.map(|(_, row)| row.map_or([0.0; OCTAVES], shares));
        let whole = || shares.iter().flatten();
        let is_some = |octave: &usize| shares.iter().any(|shares| shares[*octave] > 0.0);
        let Some(first) = (0..OCTAVES).find(is_some) else { return };
        let last = (0..OCTAVES).rfind(is_some).unwrap_or(first);
        let most = whole().copied().fold(0.0, f64::max);
        for octave in first..=last {
            let cells = shares.map(|shares| {
                let share = shares[octave];
                format!(" {} {}", drawn(share / most, bar), percent(share))
            });
            let from = fit(&units::duration(1 << octave), TIME, Align::Right);
            lines.push(Line::Text(format!("{from}{}{}", cells[0], cells[1]), Style::new()));
        }
    }

    /// Who walks on the left, who is walked on the right, each with its share of the time.
    fn parties(&self, walker: &WalkerReport, lines: &mut Vec<Line>) {
        let room = usize::from(self.area.width) / 2;
        let lists = [("WALKS", &walker.actors), ("IS WALKED", &walker.targets)];
        let heading = lists.map(|(name, _)| fit(name, room, Align::Left)).concat();
        lines.push(Line::Text(heading, Theme::value()));
        for at in 0..walker.actors.len().max(walker.targets.len()) {
            let cell = |(_, parties): (&str, &Vec<Party>)| {
                let party = parties.get(at);
                let all: u64 = parties.iter().map(|party| party.ns).sum();
                let text = party.map_or_else(String::new, |party| {
                    #[expect(clippy::cast_precision_loss, reason = "a share in percent")]
                    let share = party.ns as f64 / all.max(1) as f64;
                    format!("{} {} {}", percent(share), who(party), calls(party.calls))
                });
                fit(&text, room.saturating_sub(1), Align::Left) + " "
            };
            lines.push(Line::Text(lists.map(cell).concat(), Style::new()));
        }
    }
}

/// Powers of two of ns.
const OCTAVES: usize = 64;

/// The part of the calls in each power of two.
fn shares(row: &RowReport) -> [f64; OCTAVES] {
    let mut shares = [0.0; OCTAVES];
    #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
    let part = |number: u64| number as f64 / row.calls.max(1) as f64;
    for &(middle, number) in &row.durations {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the middle of a bucket, which is not negative and below 2^35"
        )]
        let octave = (middle as u64).max(1).ilog2() as usize;
        if let Some(share) = shares.get_mut(octave) {
            *share += part(number);
        }
    }
    shares
}

/// A bar of so many cells, of which a part is filled: something, where there is something.
fn drawn(part: f64, cells: usize) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a number of cells"
    )]
    let full = (part.clamp(0.0, 1.0) * cells as f64).round() as usize;
    let bar = if full == 0 && part > 0.0 { "▏".to_owned() } else { "█".repeat(full) };
    fit(&bar, cells, Align::Left)
}

/// A share in [`SHARE`] cells; blanks for nothing at all.
fn percent(share: f64) -> String {
    let text = match share {
        share if share <= 0.0 => String::new(),
        share if share < 0.005 => "<1%".to_owned(),
        share => format!("{:.0}%", share * 100.0),
    };
    fit(&text, SHARE, Align::Right)
}

fn calls(number: u64) -> String {
    let noun = if number == 1 { "call" } else { "calls" };
    format!("{} {noun}", units::count(number))
}

/// How the paths compare, in words.
fn sentence(found: &LevelRatio) -> String {
    let sure = found.ratio.interval.map_or_else(
        || "too few calls to be sure".to_owned(),
        |(low, high)| format!("in 95 of 100 cases {low:.2} to {high:.2}"),
    );
    format!("generic/hugetlb for a {} leaf: {:.2}, {sure}", found.level.name(), found.ratio.ratio)
}
