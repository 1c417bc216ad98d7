//! What the host wants done.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;

use crate::machine::Terminal;
use crate::protocol::{DETERMINISTIC, ORDERS, decode_fields};

/// The command and its surroundings.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) terminal: Option<Terminal>,
    pub(super) deterministic: bool,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) copy_out: Vec<OsString>,
    pub(super) command: Vec<OsString>,
}

impl Orders {
    /// Reads the file that the host put into the initramfs.
    pub(super) fn read() -> io::Result<Self> {
        let bytes = fs::read(ORDERS)?;
        Self::parse(&bytes).ok_or_else(|| io::Error::other("its orders are damaged"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = decode_fields(bytes)?.into_iter();
        let terminal = std::str::from_utf8(fields.next()?).ok()?;
        let terminal = match terminal.split_once(' ') {
            Some((rows, columns)) => {
                Some(Terminal { rows: rows.parse().ok()?, columns: columns.parse().ok()? })
            }
            None => None,
        };
        let deterministic = fields.next()? == DETERMINISTIC.as_bytes();
        let variables = number(fields.next()?)?;
        let environment = fields.by_ref().take(variables).map(variable).collect::<Option<_>>()?;
        let copies = number(fields.next()?)?;
        let copy_out = fields.by_ref().take(copies).map(word).collect();
        let command: Vec<OsString> = fields.map(word).collect();
        (!command.is_empty()).then_some(Self {
            terminal,
            deterministic,
            environment,
            copy_out,
            command,
        })
    }
}

fn number(field: &[u8]) -> Option<usize> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn word(field: &[u8]) -> OsString {
    OsString::from_vec(field.to_vec())
}

fn variable(field: &[u8]) -> Option<(OsString, OsString)> {
    let equals = field.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (field[..equals].to_vec(), field[equals + 1..].to_vec());
    Some((OsString::from_vec(name), OsString::from_vec(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::encode_fields;

    #[test]
    fn orders_are_read_as_they_were_written() {
        let fields = [b"24 80".as_slice(), b"", b"1", b"A=b=c", b"1", b"/f", b"sh", b""];
        let bytes = encode_fields(fields);
        let orders = Orders::parse(&bytes).expect("is well formed");
        assert_eq!(orders.terminal, Some(Terminal { rows: 24, columns: 80 }));
        assert_eq!(orders.environment, [("A".into(), "b=c".into())]);
        assert!(!orders.deterministic);
        assert_eq!(orders.copy_out, ["/f"]);
        assert_eq!(orders.command, ["sh", ""]);
    }

    #[test]
    fn no_command_is_damage() {
        assert_eq!(Orders::parse(&encode_fields([b"".as_slice(), b"", b"0", b"0"])), None);
        assert_eq!(Orders::parse(b"garbage"), None);
    }
}
