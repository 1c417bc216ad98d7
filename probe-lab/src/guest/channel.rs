//! The guest's end of the channel: a virtio port, or the second serial port.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

use crate::protocol::{Kind, PORT, receive, send};

const SERIAL: &str = "/dev/ttyS1";
/// The host announces the port's name after the driver has started.
const PATIENCE: Duration = Duration::from_secs(5);

/// Frames to and from the host; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    writer: Arc<Mutex<File>>,
    is_serial: bool,
}

impl Channel {
    /// Opens the port where the kernel has the driver, else the serial line.
    pub(super) fn open() -> io::Result<Self> {
        let port = port();
        let path = port.as_deref().unwrap_or(Path::new(SERIAL));
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if port.is_none() {
            let mut settings = tcgetattr(&file)?;
            settings.make_raw();
            tcsetattr(&file, OptionalActions::Now, &settings)?;
        }
        Ok(Self { writer: Arc::new(Mutex::new(file)), is_serial: port.is_none() })
    }

    /// Sends a frame.
    pub(super) fn send(&self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        send(&mut *writer, kind, payload)
    }

    /// Gives each frame from the host to a function, on a thread of its own, for as long as the machine runs.
    pub(super) fn listen(
        &self,
        mut give: impl FnMut(Kind, Vec<u8>) + Send + 'static,
    ) -> io::Result<()> {
        let mut reader = {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.try_clone()?
        };
        thread::spawn(move || {
            while let Ok(Some((kind, payload))) = receive(&mut reader) {
                give(kind, payload);
            }
        });
        Ok(())
    }

    /// Waits until all that was sent is with the host.
    pub(super) fn drain(&self) -> io::Result<()> {
        // A port's write returns when the host has the bytes.
        if self.is_serial {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            tcdrain(&*writer)?;
        }
        Ok(())
    }
}

/// The device of the port that has our name.
fn port() -> Option<PathBuf> {
    let start = Instant::now();
    while Path::new("/sys/bus/virtio/drivers/virtio_console").exists() && start.elapsed() < PATIENCE
    {
        let ports = fs::read_dir("/sys/class/virtio-ports").into_iter().flatten().flatten();
        for port in ports {
            let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
            let device = Path::new("/dev").join(port.file_name());
            if name.trim() == PORT && device.exists() {
                return Some(device);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}
