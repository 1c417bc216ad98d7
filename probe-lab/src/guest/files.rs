//! Files that the host wants when the command has ended.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::channel::Channel;
use super::command::HOME;
use crate::protocol::{Kind, LARGEST_FILE};

/// Bytes of a file in one frame.
const CHUNK: usize = 32 * 1024;

/// Sends each file, or why it cannot be had.
pub(super) fn send_all(paths: &[OsString], channel: &Channel) -> io::Result<()> {
    for (number, path) in (0_u32..).zip(paths) {
        let number = number.to_le_bytes();
        match open(&Path::new(HOME).join(path)) {
            Ok(file) => send(&number, file, channel)?,
            Err(error) => refuse(&number, &error, channel)?,
        }
    }
    Ok(())
}

/// Opens a file that has an end: not a folder, and no device or pipe, which could keep us waiting.
fn open(path: &Path) -> io::Result<File> {
    let no_wait = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(no_wait).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::other("it is no regular file"))
}

fn send(number: &[u8], file: File, channel: &Channel) -> io::Result<()> {
    // One byte more shows that it is too large.
    let mut file = file.take(LARGEST_FILE + 1);
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(count) => {
                channel.send(Kind::File, &[number, &buffer[..count]].concat())?;
                if count == 0 {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return refuse(number, &error, channel),
        }
    }
}

fn refuse(number: &[u8], why: &io::Error, channel: &Channel) -> io::Result<()> {
    channel.send(Kind::NoFile, &[number, why.to_string().as_bytes()].concat())
}
