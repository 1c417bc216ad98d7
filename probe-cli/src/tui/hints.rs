//! The line of key hints at the bottom.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
};

use super::{
    keys::{Action, BINDINGS, Binding, GENERAL},
    theme::Theme,
};

/// Draws as many hints as fit, of the keys of some groups; neighbours with the same word share it.
pub(super) fn render(theme: Theme, groups: &[&str], area: Rect, buffer: &mut Buffer) {
    let mut line = Line::default();
    let is_hinted = |binding: &&Binding| binding.hint.is_some() && groups.contains(&binding.group);
    let mut hinted: Vec<_> = BINDINGS.iter().filter(is_hinted).collect();
    // The way out always; then what is special here.
    hinted.sort_by_key(|binding| match binding.action {
        Action::Help | Action::Quit | Action::Back => 0,
        _ if binding.group != GENERAL => 1,
        _ => 2,
    });
    for same in hinted.chunk_by(|one, next| one.hint == next.hint) {
        let keys: Vec<_> =
            same.iter().filter_map(|binding| binding.keys.first()).map(|key| key.name()).collect();
        let hint = same[0].hint.unwrap_or_default();
        let spans = [
            Span::styled(keys.join(" "), theme.key()),
            Span::styled(format!(" {hint}  "), theme.quiet()),
        ];
        let width: usize = spans.iter().map(Span::width).sum();
        // The two blanks at the end may be cut.
        if line.width() + width > usize::from(area.width) + 2 {
            break;
        }
        line.spans.extend(spans);
    }
    if !area.is_empty() {
        buffer.set_line(area.x, area.y, &line, area.width);
    }
}
