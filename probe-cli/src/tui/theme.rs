//! How things look: only the 16 colours that the user's terminal gives, or none at all.

use probe_common::probe::Family;
use ratatui::style::{Color, Modifier, Style};

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
