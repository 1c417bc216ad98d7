//! This side's ends of the channels to the guest.

use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::thread;

use crate::host::error::Error;
use crate::protocol::{Kind, receive};

/// What happens while a guest runs.
pub(crate) enum Event {
    /// A frame came over the channel of this number.
    Frame(usize, Kind, Vec<u8>),
    /// A channel ended.
    Broken(io::Error),
    /// This process got a signal.
    Signal(i32),
}

/// A socket to which QEMU connects.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, Error> {
    let listener = UnixListener::bind(path).map_err(Error::file("listen at", path))?;
    listener.set_nonblocking(true).map_err(Error::file("listen at", path))?;
    Ok(listener)
}

/// Makes events of frames, on a thread of its own, until the channel ends.
pub(crate) fn listen_to(number: usize, mut channel: UnixStream, events: SyncSender<Event>) {
    thread::spawn(move || {
        loop {
            let event = match receive(&mut channel) {
                Ok(Some((kind, payload))) => Event::Frame(number, kind, payload),
                Ok(None) => Event::Broken(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Event::Broken(error),
            };
            let last = matches!(event, Event::Broken(_));
            if events.send(event).is_err() || last {
                return;
            }
        }
    });
}

/// The same channel once more.
pub(crate) fn duplicate(channel: &UnixStream) -> Result<UnixStream, Error> {
    channel.try_clone().map_err(channel_error("open"))
}

/// An error of a channel.
pub(crate) fn channel_error(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Channel { operation, source }
}

/// Writes output of the command at once.
pub(crate) fn pass_on(stream: &mut dyn Write, bytes: &[u8]) -> Result<(), Error> {
    stream.write_all(bytes).and_then(|()| stream.flush()).map_err(Error::Output)
}
