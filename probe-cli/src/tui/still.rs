//! One picture of what the view shows, without a terminal and without keys.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    theme::Theme,
    vma::{OneVma, Seen},
};
use crate::track::map::Tracked;

/// What is shown of one VMA that was opened when the map was `opened`, now that it is `map`, as lines of text:
/// its strip, and the operations on it, the newest first. `None` where there was no VMA.
///
/// `now` is in ns of `CLOCK_MONOTONIC`; the operations call the moment of the first one that is kept 0.
#[must_use]
pub fn one_vma(
    opened: &Tracked,
    map: &Tracked,
    address: u64,
    now: u64,
    (width, height): (u16, u16),
) -> Option<Vec<String>> {
    let start = map.transactions().front().map_or(now, |first| first.time);
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let mut view = OneVma::new(opened.vma_at(address)?.clone());
    view.make_fit(map, now, area);
    let seen = Seen { known: map, log: map, now, start };
    view.render(seen, &(String::new(), Style::new()), Theme::new(false), &mut buffer);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    Some((0..height).map(|y| line(y).trim_end().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::one_vma;
    use crate::track::fixture;

    #[test]
    fn an_operation_is_a_line() {
        let mut map = fixture::huge(0, 4 << 20, 1);
        let opened = map.clone();
        map.event(fixture::split(1_000_000_000, 0));
        let lines = one_vma(&opened, &map, 0x1000, 2_000_000_000, (120, 20)).unwrap();
        assert!(
            lines.iter().any(|line| line.contains("pmd_split") && line.contains("2M -> 4K: 2M")),
            "{lines:#?}"
        );
        assert_eq!(one_vma(&opened, &map, 1 << 40, 0, (120, 20)), None);
    }
}
