//! How things look: only the 16 colours that the user's terminal gives, or none at all.

use probe_common::probe::Family;
use ratatui::style::{Color, Modifier, Style};

use super::cells::Freshness;
use crate::{maps::tone::Tone, track::pieces::Known};

/// The styles of everything that is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    color: bool,
}

impl Theme {
    /// With colours, or with bold, dim and reverse only.
    pub(super) const fn new(color: bool) -> Self {
        Self { color }
    }

    fn with(self, color: Color, style: Style) -> Style {
        if self.color { style.fg(color) } else { style }
    }

    /// The tool's name, the heading of a pane.
    pub(super) fn title(self) -> Style {
        self.with(Color::Cyan, Style::new().bold())
    }

    /// What a number means.
    pub(super) fn label(self) -> Style {
        self.quiet()
    }

    /// What matters less: zeros, rules, idle hints.
    pub(super) fn quiet(self) -> Style {
        if self.color { Style::new().fg(Color::DarkGray) } else { Style::new().dim() }
    }

    /// A number that should be read.
    pub(super) fn value() -> Style {
        Style::new().bold()
    }

    /// Something is missing or wrong.
    pub(super) fn alarm(self) -> Style {
        self.with(Color::Red, Style::new().bold())
    }

    /// Not as usual, but as it should be: reduced, paused.
    pub(super) fn notice(self) -> Style {
        self.with(Color::Yellow, Style::new().bold())
    }

    /// The row that the keys act on.
    pub(super) fn selected() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The name of a key.
    pub(super) fn key(self) -> Style {
        self.with(Color::Cyan, Style::new().bold())
    }

    /// A class of leaves, in the colour that it has everywhere.
    pub(super) fn tone(self, tone: Tone) -> Style {
        let color = match tone.face().sgr {
            "31" => Color::Red,
            "32" => Color::Green,
            "33" => Color::Yellow,
            "34" => Color::Blue,
            "35" => Color::Magenta,
            "36" => Color::Cyan,
            "37" => Color::Gray,
            "90" => Color::DarkGray,
            "91" => Color::LightRed,
            "92" => Color::LightGreen,
            "93" => Color::LightYellow,
            "94" => Color::LightBlue,
            "95" => Color::LightMagenta,
            "96" => Color::LightCyan,
            "97" => Color::White,
            _ => return Style::new(),
        };
        self.with(color, Style::new())
    }

    /// What changed stands out, the less the longer ago it was.
    pub(super) fn fresh(freshness: Freshness) -> Style {
        match freshness {
            Freshness::Now => Style::new().bold().reversed(),
            Freshness::Recent => Style::new().bold().underlined(),
            Freshness::Past => Style::new().underlined(),
            Freshness::Old => Style::new(),
        }
    }

    /// What has not been read since it may have changed is faint.
    pub(super) fn known(known: Known) -> Style {
        match known {
            Known::Scanned | Known::Observed => Style::new(),
            Known::Inferred => Style::new().italic(),
            Known::Stale => Style::new().dim().italic(),
        }
    }

    /// A family of probes; the same in the table's headings and in the log.
    pub(super) fn family(self, family: Family) -> Style {
        let color = match family {
            Family::Fault => return Style::new(),
            Family::Hugetlb => Color::Cyan,
            Family::Thp => Color::Green,
            Family::Split => Color::Magenta,
            Family::Collapse => Color::Yellow,
            Family::Walk => Color::Blue,
            Family::Change => Color::Red,
            Family::Migrate => Color::LightRed,
            Family::Vma => Color::Gray,
        };
        self.with(color, Style::new())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Theme;
    use crate::maps::tone::{TONES, Tone};

    #[test]
    fn each_class_of_leaves_has_its_colour() {
        let colors: BTreeSet<_> =
            Tone::all().map(|tone| format!("{:?}", Theme::new(true).tone(tone).fg)).collect();
        assert_eq!(colors.len(), TONES);
    }
}
