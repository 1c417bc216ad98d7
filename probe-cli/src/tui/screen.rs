//! Where things stand on the screen.

use ratatui::layout::Rect;

use crate::text::{Align, fit, wrap};

/// Which panes are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Layout {
    /// Processes above, events below.
    #[default]
    Both,
    /// Processes only.
    Processes,
    /// Events only.
    Events,
}

impl Layout {
    /// The next one, in a circle.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Both => Self::Processes,
            Self::Processes => Self::Events,
            Self::Events => Self::Both,
        }
    }
}

/// The smallest size that the view is made for.
const MIN: (u16, u16) = (40, 8);

/// With fewer rows than this two panes are of no use.
const BOTH: u16 = 8;

/// The places of the widgets; empty for those that are not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) header: Rect,
    /// The processes, or what is open of one.
    pub(super) table: Rect,
    pub(super) log: Rect,
    pub(super) hints: Rect,
}

impl Areas {
    /// Shares the screen between the widgets; the header takes what it needs, at most a third.
    pub(super) fn share(screen: Rect, header: usize, layout: Layout) -> Self {
        let row = |y: u16, height: u16| Rect { y: screen.y + y, height, ..screen };
        let header = u16::try_from(header).unwrap_or(u16::MAX).min((screen.height / 3).max(1));
        let rest = screen.height.saturating_sub(header + 1);
        let log = match layout {
            Layout::Processes => 0,
            Layout::Events => rest,
            Layout::Both if rest < BOTH => 0,
            Layout::Both => rest * 2 / 5,
        };
        Self {
            header: row(0, header),
            table: row(header, rest - log),
            log: row(header + rest - log, log),
            hints: row(header + rest, 1),
        }
    }
}

/// What to show instead of the view in a terminal that is too small for it.
pub(super) fn too_small(screen: Rect) -> Option<Vec<String>> {
    let (width, height) = (screen.width, screen.height);
    if width >= MIN.0 && height >= MIN.1 {
        return None;
    }
    let text = format!("terminal too small ({width}x{height}), needs {}x{}", MIN.0, MIN.1);
    let lines = wrap(&text, width.into());
    Some(lines.iter().map(|line| fit(line, width.into(), Align::Left)).collect())
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::{Areas, Layout, too_small};

    #[test]
    fn the_areas_fill_the_screen_and_do_not_overlap() {
        for height in 2..100 {
            for layout in [Layout::Both, Layout::Processes, Layout::Events] {
                for header in 0..9 {
                    let areas = Areas::share(Rect::new(0, 0, 80, height), header, layout);
                    let mut y = 0;
                    for area in [areas.header, areas.table, areas.log, areas.hints] {
                        assert_eq!((area.x, area.y, area.width), (0, y, 80));
                        y = area.bottom();
                    }
                    assert_eq!(y, height);
                }
            }
        }
    }

    #[test]
    fn one_sentence_in_a_small_terminal() {
        assert_eq!(too_small(Rect::new(0, 0, 40, 8)), None);
        let lines = too_small(Rect::new(0, 0, 20, 5)).unwrap();
        assert_eq!(lines, ["terminal too small  ", "(20x5), needs 40x8  "]);
        for (width, height) in [(0, 0), (1, 1), (39, 8), (40, 7), (0, 100)] {
            for line in too_small(Rect::new(0, 0, width, height)).unwrap() {
                assert_eq!(line.chars().count(), usize::from(width));
            }
        }
    }
}
