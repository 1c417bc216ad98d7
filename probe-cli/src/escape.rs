//! Text that other processes chose, made harmless.
//!
//! A process names itself, its files and its cgroup as it likes. Before such bytes reach a
//! terminal, JSON or HTML they pass through here, at the place where they enter the program.

use std::fmt::Write as _;

/// Printable text for arbitrary bytes.
///
/// Printable Unicode stays as it is. Control characters, format characters that can reorder or
/// hide text, and bytes that are no UTF-8 become `\xNN` (or `\u{N}`), and the backslash becomes
/// `\\`, so that different bytes always give different text.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                c if c.is_ascii_control() => hex(&mut text, c as u8),
                c if c.is_control() || is_format(c) => {
                    let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
                }
                c => text.push(c),
            }
        }
        for &byte in chunk.invalid() {
            hex(&mut text, byte);
        }
    }
    text
}

/// The text of a NUL-padded name such as `comm`.
#[must_use]
pub fn escape_padded(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    escape(&bytes[..end])
}

/// Escapes everything but backslashes: what this tool wrote to a file is escaped already, and stays as it is;
/// what somebody put there is made harmless.
pub fn harmless(text: &mut String) {
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte);
    if !text.as_bytes().iter().all(is_plain) {
        *text = text.split('\\').map(|part| escape(part.as_bytes())).collect::<Vec<_>>().join("\\");
    }
}

fn hex(text: &mut String, byte: u8) {
    let _ = write!(text, "\\x{byte:02x}");
}

/// Characters without a glyph of their own that change how their neighbours are shown: soft hyphen,
/// zero-width and bidirectional controls, line and paragraph separators, variation selectors, tags.
fn is_format(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
        | 0xfe00..=0xfe0f | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe0fff)
}

#[cfg(test)]
mod tests {
    use super::{escape, escape_padded};

    #[test]
    fn plain_text_stays() {
        assert_eq!(escape("postgres: größe 表".as_bytes()), "postgres: größe 表");
    }

    #[test]
    fn control_and_reordering_characters_are_shown_as_numbers() {
        assert_eq!(escape(b"\x1b[2J\x07\r\n"), "\\x1b[2J\\x07\\x0d\\x0a");
        assert_eq!(escape("a\u{202e}b\u{200b}c\u{85}".as_bytes()), "a\\u{202e}b\\u{200b}c\\u{85}");
    }

    #[test]
    fn different_bytes_give_different_text() {
        assert_ne!(escape(b"\\x1b"), escape(b"\x1b"));
        assert_eq!(escape(b"\xff\xfe"), "\\xff\\xfe");
    }

    #[test]
    fn padding_ends_a_name() {
        assert_eq!(escape_padded(b"cat\0\0garbage"), "cat");
        assert_eq!(escape_padded(b"sixteen-bytes-xx"), "sixteen-bytes-xx");
    }
}
