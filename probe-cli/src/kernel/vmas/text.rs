//! The lines of `/proc/PID/maps`.

/// One line, as the kernel wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) permissions: [u8; 4],
    pub(crate) offset: u64,
    pub(crate) device: Device,
    pub(crate) inode: u64,
    /// What stands behind the inode: empty, a path, or the kernel's name in brackets.
    pub(crate) name: &'a [u8],
}

/// A device number: what `maps` says in hexadecimal, and `mountinfo` in decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Line<'_> {
    /// A file backs it: fs/proc/task_mmu.c, `show_map_vma` leaves device and inode 0 without one.
    pub(crate) fn has_file(&self) -> bool {
        self.inode != 0 || self.device != Device::default()
    }
}

/// Reads one line (without its newline); `None` when it is no such line.
///
/// The format is `show_vma_header_prefix` in fs/proc/task_mmu.c.
pub(crate) fn line(text: &[u8]) -> Option<Line<'_>> {
    let mut rest = text;
    let start = hexadecimal(&mut rest)?;
    byte(&mut rest, b'-')?;
    let end = hexadecimal(&mut rest)?;
    byte(&mut rest, b' ')?;
    let (permissions, after) = rest.split_first_chunk::<4>()?;
    rest = after;
    byte(&mut rest, b' ')?;
    let offset = hexadecimal(&mut rest)?;
    byte(&mut rest, b' ')?;
    let major = u32::try_from(hexadecimal(&mut rest)?).ok()?;
    byte(&mut rest, b':')?;
    let minor = u32::try_from(hexadecimal(&mut rest)?).ok()?;
    byte(&mut rest, b' ')?;
    let inode = decimal(&mut rest)?;
    let blanks = rest.iter().position(|&b| b != b' ').unwrap_or(rest.len());
    let known = |letter: u8, set: &[u8]| letter == b'-' || set.contains(&letter);
    let [r, w, x, p] = *permissions;
    let sound = start < end && known(r, b"r") && known(w, b"w") && known(x, b"x");
    (sound && known(p, b"ps")).then_some(Line {
        start,
        end,
        permissions: *permissions,
        offset,
        device: Device { major, minor },
        inode,
        name: &rest[blanks..],
    })
}

/// Cuts a stream into lines, however the reads fall.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    tail: Vec<u8>,
}

/// A longer line is no line of `/proc`: a path ends at PATH_MAX, and a newline in it takes 4 bytes.
const LONGEST_LINE: usize = 32 << 10;

impl Lines {
    /// Gives every line that is complete to `each`.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = chunk.iter().position(|&b| b == b'\n') {
            if self.tail.is_empty() {
                each(&chunk[..end]);
            } else {
                self.tail.extend_from_slice(&chunk[..end]);
                each(&self.tail);
                self.tail.clear();
            }
            chunk = &chunk[end + 1..];
        }
        let room = LONGEST_LINE.saturating_sub(self.tail.len());
        self.tail.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    /// Whether the stream ended in the middle of a line.
    pub(crate) fn is_cut(&self) -> bool {
        !self.tail.is_empty()
    }
}

/// The bytes of a name in `maps`: `seq_path` writes a newline as `\012`, and nothing else
/// otherwise, not even the backslash; so a file whose name has the four characters `\012` looks
/// like one with a newline.
pub(crate) fn decode_newlines(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, after @ ..] = rest {
        if let Some(after) = rest.strip_prefix(br"\012") {
            bytes.push(b'\n');
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// Whether [`decode_newlines`] changes it.
pub(crate) fn has_newline(name: &[u8]) -> bool {
    name.contains(&b'\\') && name.windows(4).any(|part| part == br"\012")
}

/// The bytes of a field in `mountinfo`: blanks, newlines, `#` and backslashes are octal there.
pub(crate) fn decode_octal(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal = |digit: u8| (b'0'..=b'7').contains(&digit).then(|| u32::from(digit - b'0'));
        let code = match rest {
            [b'\\', a, b, c, ..] => octal(*a).zip(octal(*b)).zip(octal(*c)),
            _ => None,
        };
        let code = code.and_then(|((a, b), c)| u8::try_from(a << 6 | b << 3 | c).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &rest[4..] } else { after };
    }
    bytes
}

fn byte(rest: &mut &[u8], expected: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[expected])?;
    Some(())
}

fn hexadecimal(rest: &mut &[u8]) -> Option<u64> {
    number(rest, 4, |digit| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    })
}

fn number(rest: &mut &[u8], bits: u32, value: impl Fn(u8) -> Option<u8>) -> Option<u64> {
    let mut result = 0_u64;
    let mut length = 0;
    while let Some(digit) = rest.get(length).and_then(|&byte| value(byte)) {
        if result.leading_zeros() < bits {
            return None;
        }
        result = result << bits | u64::from(digit);
        length += 1;
    }
    *rest = &rest[length..];
    (length > 0).then_some(result)
}

/// Takes a decimal number off the front.
pub(crate) fn decimal(rest: &mut &[u8]) -> Option<u64> {
    let length = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
    let digits = str::from_utf8(&rest[..length]).ok()?;
    *rest = &rest[length..];
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Device, Lines, decode_newlines, decode_octal, has_newline, line};

    const FILE: &[u8] =
        b"7f0000000000-7f0000001000 r-xp 00002000 fd:10 166338                     /a b  (deleted)";

    #[test]
    fn every_field_is_read() {
        let file = line(FILE).unwrap();
        assert_eq!((file.start, file.end), (0x7f00_0000_0000, 0x7f00_0000_1000));
        assert_eq!((&file.permissions, file.offset), (b"r-xp", 0x2000));
        assert_eq!((file.device, file.inode), (Device { major: 0xfd, minor: 0x10 }, 166_338));
        assert_eq!(file.name, b"/a b  (deleted)");
        assert!(file.has_file());
        let anonymous = line(b"00400000-00401000 ---p 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.name, anonymous.has_file()), (&b""[..], false));
        let bare = line(b"00400000-00401000 ---p 00000000 00:00 0").unwrap();
        assert_eq!(bare.name, b"");
    }

    #[test]
    fn a_truncated_or_wrong_line_is_none() {
        let header = FILE.iter().position(|&b| b == b'6').unwrap();
        for length in 0..header {
            assert_eq!(line(&FILE[..length]), None, "{length}");
        }
        for wrong in [
            &b"2000-1000 r-xp 0 0:0 0"[..],
            b"1000-1000 r-xp 0 0:0 0",
            b"11112222333344445-2 r-xp 0 0:0 0",
            b"1000-2000 rwxq 0 0:0 0",
            b"1000-2000 xxxp 0 0:0 0",
            b"1000-2000 r-xp 0 0:0 99999999999999999999",
            b"Rss:  12 kB",
        ] {
            assert_eq!(line(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn lines_come_whole_however_the_reads_fall() {
        for size in 1..9 {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for chunk in b"one\n\ntwo three\nfo".chunks(size) {
                lines.feed(chunk, |line| seen.push(String::from_utf8(line.to_vec()).unwrap()));
            }
            assert_eq!(seen, ["one", "", "two three"], "{size}");
            assert!(lines.is_cut());
        }
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.feed(&[b'x'; 4096], |_| ());
        }
        assert!(lines.tail.len() <= super::LONGEST_LINE);
    }

    #[test]
    fn only_newlines_are_decoded_in_maps() {
        assert_eq!(decode_newlines(br"/a\012b\040\\012\01"), b"/a\nb\\040\\\n\\01");
        assert!(has_newline(br"/a\012"));
        assert!(!has_newline(br"/a\040\01"));
        assert_eq!(decode_octal(br"/a\012b\040\134\999\7"), b"/a\nb \\\\999\\7");
    }
}
