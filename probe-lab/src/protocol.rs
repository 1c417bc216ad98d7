//! What host and guest say to each other: frames of a kind, a length and that many bytes.

use std::io::{self, Read, Write};

/// What the kernel starts in the guest: a link to [`PROGRAM`].
pub const INIT: &str = "/init";
/// Where the program is that is the guest's init, and whatever else it is.
pub const PROGRAM: &str = "/bin/walkprobe";
/// What the orders say when a run is to be deterministic.
pub const DETERMINISTIC: &str = "deterministic";
/// The name of the virtio port that carries the frames.
pub const PORT: &str = "walkprobe.lab";
/// Where the guest's init finds what to do; see [`encode_fields`].
pub const ORDERS: &str = "/etc/lab/orders";
/// Where the guest's init finds the modules to load, in the order of their names.
pub const MODULES: &str = "/etc/lab/modules";
/// The most bytes of one file that is copied out of the guest.
pub const LARGEST_FILE: u64 = 1 << 30;
/// The longest payload; more than that is garbage, not a frame.
pub const LONGEST: usize = 64 * 1024;

const HEADER: usize = 5;

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Guest: init is up and starts the command now. Payload: `uname -r`.
    Ready = 0x51,
    /// Guest: nothing to say, but alive.
    Alive,
    /// Guest: the command wrote this to its standard output.
    Stdout,
    /// Guest: the command wrote this to its standard error.
    Stderr,
    /// Guest: a piece of a file that the host wants. Payload: its number, four bytes, little-endian, and bytes of it; none at its end.
    File,
    /// Guest: a file that the host wants cannot be had. Payload: its number, and a sentence.
    NoFile,
    /// Guest: the command ended. Payload: exit status, or 128 and the signal, four bytes, little-endian.
    Exit,
    /// Guest: the command could not be run. Payload: a sentence.
    Trouble,
    /// Host: input for the command. Empty: there is no more.
    Stdin,
    /// Host: the terminal has a new size. Payload: rows and columns, two bytes each, little-endian.
    Resize,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Ready,
        Self::Alive,
        Self::Stdout,
        Self::Stderr,
        Self::File,
        Self::NoFile,
        Self::Exit,
        Self::Trouble,
        Self::Stdin,
        Self::Resize,
    ];
}

/// Sends one frame in one write.
///
/// # Errors
///
/// The channel cannot be written to, or the payload exceeds [`LONGEST`].
pub fn send(channel: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= LONGEST);
    let length = length.ok_or_else(|| io::Error::other("a frame that is too long"))?;
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.push(kind as u8);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(payload);
    channel.write_all(&frame)
}

/// Receives one frame; none at the end of the channel.
///
/// # Errors
///
/// The channel cannot be read, or what it carries are no frames.
pub fn receive(channel: &mut impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut header = [0; HEADER];
    if channel.read(&mut header[..1])? == 0 {
        return Ok(None);
    }
    channel.read_exact(&mut header[1..])?;
    let [code, length @ ..] = header;
    let length = u32::from_le_bytes(length) as usize;
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == code);
    let kind = kind
        .filter(|_| length <= LONGEST)
        .ok_or_else(|| io::Error::other("bytes that are no frame"))?;
    let mut payload = vec![0; length];
    channel.read_exact(&mut payload)?;
    Ok(Some((kind, payload)))
}

/// Writes a list of byte strings, which may contain anything.
#[must_use]
pub fn encode_fields<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// Reads what [`encode_fields`] wrote; none when it is damaged.
#[must_use]
pub fn decode_fields(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        fields.push(field);
        bytes = rest;
    }
    bytes.is_empty().then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in() -> io::Result<()> {
        let mut channel = Vec::new();
        send(&mut channel, Kind::Stdout, b"a\n\0b")?;
        send(&mut channel, Kind::Stdin, b"")?;
        let mut channel = channel.as_slice();
        assert_eq!(receive(&mut channel)?, Some((Kind::Stdout, b"a\n\0b".to_vec())));
        assert_eq!(receive(&mut channel)?, Some((Kind::Stdin, Vec::new())));
        assert_eq!(receive(&mut channel)?, None);
        Ok(())
    }

    #[test]
    fn garbage_is_no_frame() {
        assert!(receive(&mut b"login: ".as_slice()).is_err());
        assert!(send(&mut Vec::new(), Kind::Stdout, &vec![0; LONGEST + 1]).is_err());
    }

    #[test]
    fn fields_may_contain_anything() {
        let fields: [&[u8]; 3] = [b"", b"a\0b", b"\xff"];
        let bytes = encode_fields(fields);
        assert_eq!(decode_fields(&bytes), Some(fields.to_vec()));
        assert_eq!(decode_fields(&bytes[..bytes.len() - 1]), None);
    }
}
