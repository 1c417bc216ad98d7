//! Reads event lines that are written as this tool writes them, without a JSON library but for stacks.
//!
//! A trace has millions of such lines, and what they may have is little: no spaces, no escapes, every text printable
//! ASCII, no field twice. Whatever is different gives nothing, and is read the slow way, which has the last word.

use std::{borrow::Cow, str};

use serde::Deserialize;

use super::decode::{By, Fields, Text};
use crate::event::Address;

/// Fills in the fields of a line, its end included; `None` for a line that wants a closer look.
// Not by value: they are several hundred bytes.
pub(super) fn fill<'a>(fields: &mut Fields<'a>, line: &'a [u8]) -> Option<()> {
    let mut scan = Scan(str::from_utf8(line).ok()?);
    // What every event has, in the order in which it is written.
    scan.literal("{\"time\":")?;
    fields.time = Some(scan.number()?);
    scan.literal(",\"probe\":")?;
    fields.probe = Some(scan.text()?);
    if scan.literal(",\"duration\":").is_some() {
        fields.duration = Some(scan.number()?);
    }
    if scan.literal(",\"pid\":").is_some() {
        fields.pid = Some(scan.small()?);
    }
    scan.literal(",\"by\":")?;
    fields.by = Some(scan.by()?);
    scan.literal(",\"kind\":")?;
    fields.kind = scan.text()?;
    // And what some have, in any order.
    while scan.literal(",").is_some() {
        match scan.name()? {
            "stacks" => once(&mut fields.stacks, scan.value()?)?,
            "address" => once(&mut fields.address, scan.address()?)?,
            "start" => once(&mut fields.start, scan.address()?)?,
            "end" => once(&mut fields.end, scan.address()?)?,
            "to" => once(&mut fields.to, scan.address()?)?,
            "from" => once(&mut fields.from, scan.address()?)?,
            "write" => once(&mut fields.write, scan.flag()?)?,
            "freeze" => once(&mut fields.freeze, scan.flag()?)?,
            "done" => once(&mut fields.done, scan.flag()?)?,
            "outcome" => once(&mut fields.outcome, scan.text()?)?,
            "into" => once(&mut fields.into, scan.text()?)?,
            "path" => once(&mut fields.path, scan.text()?)?,
            "callback" => once(&mut fields.callback, scan.text()?)?,
            "request" => once(&mut fields.request, scan.text()?)?,
            "change" => once(&mut fields.change, scan.text()?)?,
            "page_size" => once(&mut fields.page_size, scan.number()?)?,
            "pages" => once(&mut fields.pages, scan.number()?)?,
            "new_order" => once(&mut fields.new_order, scan.small()?)?,
            "order" => once(&mut fields.order, scan.small()?)?,
            "errno" => once(&mut fields.errno, scan.signed()?)?,
            "result" => once(&mut fields.result, scan.signed()?)?,
            _ => return None,
        }
    }
    scan.literal("}\n")?;
    scan.0.is_empty().then_some(())
}

/// Keeps a value; `None` when there is one already.
fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// What is left of a line.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A text of plain characters, without its marks.
    fn quoted(&mut self) -> Option<&'a str> {
        self.literal("\"")?;
        let text = self.take(plain(self.0.as_bytes()))?;
        self.literal("\"")?;
        Some(text)
    }

    fn name(&mut self) -> Option<&'a str> {
        let name = self.quoted()?;
        self.literal(":")?;
        Some(name)
    }

    fn text(&mut self) -> Option<Text<'a>> {
        Some(Text(Cow::Borrowed(self.quoted()?)))
    }

    fn number(&mut self) -> Option<u64> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let digits = self.take(length)?;
        // What begins with 0 is no number of JSON; what has 20 digits may be too large.
        if !(1..=19).contains(&length) || (length > 1 && digits.starts_with('0')) {
            return None;
        }
        Some(digits.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn signed(&mut self) -> Option<i32> {
        let is_negative = self.literal("-").is_some();
        let number = i32::try_from(self.number()?).ok()?;
        // To serde -0 is no whole number.
        if is_negative { (number > 0).then_some(-number) } else { Some(number) }
    }

    fn flag(&mut self) -> Option<bool> {
        let is_true = self.literal("true").is_some();
        if !is_true {
            self.literal("false")?;
        }
        Some(is_true)
    }

    fn address(&mut self) -> Option<Address> {
        let digits = self.quoted()?.strip_prefix("0x")?;
        if !(1..=16).contains(&digits.len()) {
            return None;
        }
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut all = digits.bytes().map(digit);
        let number = all.try_fold(0, |number, digit| Some(number << 4 | u64::from(digit?)));
        number.map(Address)
    }

    /// What serde makes of the next value.
    fn value<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter();
        let value = values.next()?.ok()?;
        self.take(values.byte_offset())?;
        Some(value)
    }

    /// Who did it, in the order in which it is written.
    fn by(&mut self) -> Option<By<'a>> {
        self.literal("{\"pid\":")?;
        let pid = self.small()?;
        self.literal(",\"tid\":")?;
        let tid = self.small()?;
        self.literal(",\"comm\":")?;
        let comm = self.text()?;
        let kernel = self.literal(",\"kernel\":true").is_some();
        self.literal(",\"cpu\":")?;
        let cpu = self.number()?.try_into().ok()?;
        self.literal("}")?;
        Some(By { pid, tid, comm, kernel, cpu })
    }
}

/// How many bytes from the beginning are printable ASCII, and neither quotation mark nor backslash: eight at once.
fn plain(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(chunk) = bytes.get(length..).and_then(<[u8]>::first_chunk) {
        let others = others(u64::from_le_bytes(*chunk));
        if others != 0 {
            return length + (others.trailing_zeros() / u8::BITS) as usize;
        }
        length += size_of::<u64>();
    }
    let is_plain = |byte: &&u8| (b' '..=b'~').contains(*byte) && **byte != b'"' && **byte != b'\\';
    length + bytes.get(length..).unwrap_or_default().iter().take_while(is_plain).count()
}

/// Of eight bytes, the upper bit of the first one that is not plain; those above it mean nothing.
// A subtraction borrows from the next byte only where this one is told already
// (Sean Anderson, Bit Twiddling Hacks: "Determine if a word has a zero byte").
const fn others(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const fn below(word: u64, least: u8) -> u64 {
        word.wrapping_sub(ONES * least as u64) & !word
    }
    let mark = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    let delete = below(word ^ (ONES * 0x7f), 1);
    (word | below(word, b' ') | mark | backslash | delete) & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::{fill, plain};
    use crate::trace::decode::Fields;

    fn fields(line: &[u8]) -> Option<Fields<'_>> {
        let mut fields = Fields::default();
        fill(&mut fields, line).map(|()| fields)
    }

    /// What both ways make of a line; the quick one may make nothing of it.
    fn both(line: &str) -> (Option<Fields<'_>>, Option<Fields<'_>>) {
        (fields(line.as_bytes()), serde_json::from_str(line).ok())
    }

    #[test]
    fn plain_text_ends_where_it_ends() {
        for length in 0..20 {
            let text = vec![b'a'; length];
            assert_eq!(plain(&text), length);
            for byte in 0..=u8::MAX {
                let is_plain = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
                let line = [&text[..], &[byte], b"a\x1f\"\x80\\aaaaaaaaaaaaaa"].concat();
                assert_eq!(plain(&line), if is_plain { length + 2 } else { length }, "{byte}");
            }
        }
    }

    const FAULT: &str = concat!(
        r#"{"time":1,"probe":"mm_fault","duration":18446744073709551,"pid":4294967295,"by":{"pid":1,"#,
        r#""tid":2,"comm":"a b~","cpu":65535},"kind":"fault","address":"0xffffffffffffffff","#,
        r#""write":true,"outcome":"done","page_size":4096}"#,
    );

    #[test]
    fn what_is_written_is_read_the_quick_way() {
        let traces = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/v2.jsonl");
        let text = std::fs::read_to_string(traces).unwrap() + FAULT + "\n";
        let mut quick = 0;
        for line in text.split_inclusive('\n').filter(|line| line.contains("\"probe\":")) {
            let (fast, slow) = both(line);
            if !line.contains('\\') {
                assert!(fast.is_some(), "{line}");
                quick += 1;
            }
            if let Some(mut fast) = fast {
                assert_eq!(fast.event().unwrap(), slow.unwrap().event().unwrap(), "{line}");
            }
        }
        assert!(quick > 10, "{quick}");
    }

    /// Each byte of a line taken out, and replaced by others: what is read the quick way is read the same by serde.
    #[test]
    fn what_is_damaged_is_never_read_the_quick_way_alone() {
        let line = format!("{FAULT}\n");
        let mut quick = 0;
        for place in 0..line.len() {
            let (before, after) = (&line[..place], &line[place + 1..]);
            for new in ["", "0", "-", "\"", ",", "}", "{", "\\", "\u{7f}", " ", "a", "\u{e9}", "\0"]
            {
                let damaged = format!("{before}{new}{after}");
                let (fast, slow) = both(&damaged);
                let Some(mut fast) = fast else { continue };
                quick += 1;
                let mut slow = slow.unwrap_or_else(|| panic!("{damaged}"));
                assert_eq!(fast.event().ok(), slow.event().ok(), "{damaged}");
            }
        }
        assert!(quick > 100, "{quick}");
        for line in [
            r#""errno":1,"errno":1"#,
            r#""errno":01"#,
            r#""errno":-2147483649"#,
            r#""errno":-"#,
            r#""errno":-0"#,
            r#""errno":1.0"#,
            r#""errno":1e1"#,
            r#""errno":null"#,
            r#""pages":18446744073709551616"#,
            r#""start":"0x""#,
            r#""start":"0x10000000000000000""#,
            r#""start":"0x1" "#,
            r#""kind":"exit""#,
            r#""time":1"#,
            r#""stacks":{}"#,
            r#""later":1"#,
            r#""errno":1}"#,
            r#""errno":1,"#,
        ] {
            let line = FAULT.replace("\"address\"", &format!("{line},\"address\""));
            assert!(fields(format!("{line}\n").as_bytes()).is_none(), "{line}");
        }
    }
}
