//! The line above a pane, with its title.

use ratatui::{buffer::Buffer, layout::Rect};

use super::theme::Theme;
use crate::text::width;

/// Draws it into the first row of an area.
pub(super) fn render(title: &str, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let room = usize::from(area.width);
    let rest = "─".repeat(room.saturating_sub(width(title) + 4));
    let x = buffer.set_stringn(area.x, area.y, "─ ", room, theme.quiet()).0;
    let left = |x: u16| usize::from(area.right().saturating_sub(x));
    let x = buffer.set_stringn(x, area.y, title, left(x), theme.title()).0;
    buffer.set_stringn(x, area.y, format!(" {rest}─"), left(x), theme.quiet());
}
