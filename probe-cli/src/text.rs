//! Text cut and padded to a number of terminal cells.

use ratatui::buffer::CellWidth as _;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthChar as _;

/// Which side of a column its text keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// What has been left out.
const ELLIPSIS: &str = "…";

/// Stands for characters that only some terminals join into one.
const JOINED: (&str, usize) = ("\u{fffd}", 1);

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    graphemes(text).map(|(_, width)| width).sum()
}

/// The text in exactly `cells` cells: padded with blanks, or cut, which an ellipsis shows.
///
/// Control characters and marks that stand alone take no cell and are left out; a wide character
/// that would be cut in half gives way to a blank.
pub(crate) fn fit(text: &str, cells: usize, align: Align) -> String {
    let full = width(text);
    let room = if full <= cells { cells } else { cells.saturating_sub(1) };
    let mut kept = String::with_capacity(cells);
    let mut used = 0;
    for (grapheme, width) in graphemes(text) {
        if used + width > room {
            break;
        }
        kept.push_str(grapheme);
        used += width;
    }
    if full > cells && cells > 0 {
        kept.push_str(ELLIPSIS);
        used += 1;
    }
    let blanks = " ".repeat(cells - used);
    match align {
        Align::Left => kept + &blanks,
        Align::Right => blanks + &kept,
    }
}

/// The text in lines of at most so many cells, broken between words; a longer word stands alone.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= cells => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The whole text as [`fit`] would show it: without control characters and marks that stand alone.
pub(crate) fn plain(text: &str) -> String {
    graphemes(text).map(|(grapheme, _)| grapheme).collect()
}

/// What can be shown, piece by piece, with the cells that each takes.
///
/// Terminals do not agree on how wide joined emoji, flags, skin tones and halfwidth sound marks
/// are. One mark stands for each of them, so that no name can shift what stands behind it.
fn graphemes(text: &str) -> impl Iterator<Item = (&str, usize)> {
    text.graphemes(true)
        .filter(|grapheme| !grapheme.contains(char::is_control))
        .map(|grapheme| (grapheme, usize::from(grapheme.cell_width())))
        .map(|(grapheme, width)| if apart(grapheme) == width { (grapheme, width) } else { JOINED })
        .filter(|&(_, width)| width > 0)
}

/// The cells that a terminal uses which joins nothing; it shows a flag as two wide letters.
fn apart(grapheme: &str) -> usize {
    let cells = |c: char| match c {
        '\u{1f1e6}'..='\u{1f1ff}' => 2,
        c => c.width().unwrap_or(0),
    };
    grapheme.chars().map(cells).sum()
}

/// Names that try to break a table; some could never get past the escaping.
#[cfg(test)]
pub(crate) const HOSTILE: [&str; 12] = [
    "",
    "plain",
    "a-name-that-is-much-longer-than-any-column-could-ever-be-in-this-table",
    "\\x1b[2J\\x07\\x0d",
    "表表表表表表表表",
    "a表b",
    "👩‍👩‍👧🦀🇪🇺👍🏽",
    "e\u{301}a\u{308}\u{308}\u{308}\u{308}",
    "\u{301}alone",
    "ｶﾞﾞﾞ",
    "\u{1b}[31mraw\r\n\t\u{7}",
    "हिन्दी العربية",
];

#[cfg(test)]
mod tests {
    use super::{Align, HOSTILE, fit, width, wrap};

    #[test]
    fn every_text_takes_exactly_its_cells() {
        for text in HOSTILE {
            for cells in 0..24 {
                for align in [Align::Left, Align::Right] {
                    let fitted = fit(text, cells, align);
                    assert_eq!(width(&fitted), cells, "{text:?} in {cells}: {fitted:?}");
                    assert!(!fitted.contains(char::is_control), "{fitted:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_cut_or_joined_is_marked() {
        assert_eq!(fit("postgres", 5, Align::Left), "post…");
        assert_eq!(fit("表表表", 4, Align::Left), "表… ");
        assert_eq!(fit("🦀🇪🇺👍🏽e\u{301}", 6, Align::Left), "🦀\u{fffd}\u{fffd}e\u{301} ");
        assert_eq!(fit("12", 4, Align::Right), "  12");
        assert_eq!(fit("12", 0, Align::Right), "");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable a", 4), ["unbreakable", "a"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
