//! Boots a machine and carries its command's input and output until it ends.

use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::channels::{Event, channel_error, duplicate, listen, listen_to, pass_on};
use crate::host::check::check_kernel;
use crate::host::command_line::{Channels, command_line};
use crate::host::console::{self, Outgoing, RawMode, SignalWatch};
use crate::host::copies::Copies;
use crate::host::error::Error;
use crate::host::initramfs;
use crate::host::kernel_log::KernelLog;
use crate::host::process::Running;
use crate::host::qemu::Qemu;
use crate::machine::Machine;
use crate::protocol::{Kind, send};

/// How often the log and the process are looked at.
const TICK: Duration = Duration::from_millis(100);
/// QEMU connects to its sockets before anything else.
const CONNECT: Duration = Duration::from_secs(20);
/// A guest that reported its exit status, or whose kernel panicked, powers off at once.
const POWER_OFF: Duration = Duration::from_secs(3);
/// Frames under way in either direction, so that a slow reader slows the writer.
const QUEUE: usize = 64;

/// What the command reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    None,
    /// This process's standard input; with standard output on a terminal too, the command gets a terminal of its own.
    Standard,
}

/// Where the command's input comes from and its output goes.
pub struct Streams<'a> {
    /// What it reads.
    pub input: Input,
    /// What it writes to standard output; with a terminal, all it writes.
    pub stdout: &'a mut dyn Write,
    /// What it writes to standard error.
    pub stderr: &'a mut dyn Write,
}

/// How a guest ended that ran its command to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The command's exit status, or 128 and the signal that killed it.
    pub status: u8,
    /// What `uname -r` says there.
    pub release: String,
    /// From the start of QEMU until the command was started.
    pub boot_time: Duration,
    /// A sentence for each file that should have been copied out of the guest and was not.
    pub missing: Vec<String>,
}

/// Boots the machine, runs its command and gives its exit status. QEMU never outlives this call, nor this process.
///
/// # Errors
///
/// A panic, a hang and a command that takes too long are told apart; see [`Error`].
pub fn boot(qemu: &Qemu, machine: &Machine, mut streams: Streams) -> Result<Exit, Error> {
    // Whatever comes from here comes at a time of its own.
    if machine.deterministic {
        streams.input = Input::None;
    }
    let interactive = streams.input == Input::Standard && console::is_interactive();
    check_kernel(&machine.kernel)?;
    let folder = tempfile::Builder::new().prefix("walkprobe-lab-").tempdir();
    let folder = folder.map_err(Error::file("create a folder in", std::env::temp_dir()))?;
    let copies = Copies::open(&machine.copy_out)?;
    let path = |name: &str| folder.path().join(name);
    let (initramfs, port, serial, complaints) =
        (path("initramfs"), path("port"), path("serial"), path("stderr"));
    let terminal = interactive.then(console::size);
    initramfs::write(machine, terminal, &initramfs)?;
    std::fs::write(&machine.kernel_log, "").map_err(Error::file("write", &machine.kernel_log))?;
    let log =
        KernelLog::open(&machine.kernel_log).map_err(Error::file("read", &machine.kernel_log))?;
    let listeners = [listen(&port)?, listen(&serial)?];

    let mut command = qemu.command();
    command.args(command_line(
        machine,
        &Channels { initramfs: &initramfs, port: &port, serial: &serial },
    ));
    let stderr = std::fs::File::create(&complaints).map_err(Error::file("create", &complaints))?;
    command.stderr(stderr);
    let started = Instant::now();
    let mut guest = Guest {
        running: Running::start(command, qemu.binary())?,
        log,
        complaints: &complaints,
        initramfs: &initramfs,
        started,
        sign_of_life: started,
        ready: None,
        machine,
        copies,
    };
    let channels = guest.connect(&listeners)?;
    let (events, incoming) = mpsc::sync_channel(QUEUE);
    for (number, channel) in channels.iter().enumerate() {
        listen_to(number, duplicate(channel)?, events.clone());
    }
    let _signals = SignalWatch::start(move |signal| {
        let _ = events.send(Event::Signal(signal));
    });
    let _raw = if interactive { RawMode::enter().ok() } else { None };
    guest.serve(&incoming, &channels, &mut streams)
}

struct Guest<'a> {
    running: Running,
    log: KernelLog,
    complaints: &'a Path,
    initramfs: &'a Path,
    started: Instant,
    sign_of_life: Instant,
    ready: Option<Ready>,
    machine: &'a Machine,
    copies: Copies<'a>,
}

struct Ready {
    at: Instant,
    release: String,
    outgoing: SyncSender<Outgoing>,
}

impl Guest<'_> {
    fn connect(&mut self, listeners: &[UnixListener]) -> Result<Vec<UnixStream>, Error> {
        let mut channels = Vec::new();
        for listener in listeners {
            channels.push(loop {
                match listener.accept() {
                    Ok((channel, _)) => {
                        channel.set_nonblocking(false).map_err(channel_error("open"))?;
                        break channel;
                    }
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Err(channel_error("open")(error));
                    }
                    Err(_) if self.running.has_ended() || self.started.elapsed() > CONNECT => {
                        return Err(self.ended());
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            });
        }
        Ok(channels)
    }

    fn serve(
        &mut self,
        incoming: &Receiver<Event>,
        channels: &[UnixStream],
        streams: &mut Streams,
    ) -> Result<Exit, Error> {
        let mut looked = Instant::now();
        let mut open = channels.len();
        loop {
            match incoming.recv_timeout(TICK) {
                Ok(Event::Frame(number, kind, payload)) => {
                    self.sign_of_life = Instant::now();
                    match kind {
                        Kind::Ready => self.ready(&payload, &channels[number], streams.input)?,
                        Kind::Stdout => pass_on(streams.stdout, &payload)?,
                        Kind::Stderr => pass_on(streams.stderr, &payload)?,
                        Kind::File => self.copies.piece(&payload)?,
                        Kind::NoFile => self.copies.refused(&payload),
                        Kind::Exit => return Ok(self.exit(&payload)),
                        Kind::Trouble => {
                            return Err(Error::Guest(
                                String::from_utf8_lossy(&payload).into_owned(),
                            ));
                        }
                        Kind::Alive | Kind::Stdin | Kind::Resize => {}
                    }
                }
                Ok(Event::Signal(signal)) if console::is_resize(signal) => self.resize(),
                Ok(Event::Signal(signal)) => return Err(Error::Interrupted(signal)),
                Ok(Event::Broken(source)) => {
                    // When QEMU ends, its channels do, one after the other: what the guest said last can still be in another one.
                    open -= 1;
                    if open == 0 {
                        let is_over = self.wait_for_end(POWER_OFF);
                        return Err(if is_over {
                            self.ended()
                        } else {
                            channel_error("read")(source)
                        });
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                self.look()?;
            }
        }
    }

    fn ready(&mut self, release: &[u8], channel: &UnixStream, input: Input) -> Result<(), Error> {
        let (outgoing, queue) = mpsc::sync_channel::<Outgoing>(QUEUE);
        let mut channel = duplicate(channel)?;
        thread::spawn(move || {
            while let Ok((kind, payload)) = queue.recv() {
                if send(&mut channel, kind, &payload).is_err() {
                    return;
                }
            }
        });
        match input {
            Input::None if self.machine.deterministic => {}
            Input::None => {
                let _ = outgoing.send((Kind::Stdin, Vec::new()));
            }
            Input::Standard => console::pass_input(outgoing.clone()),
        }
        // QEMU has read it; should this process be killed, less is left behind.
        let _ = std::fs::remove_file(self.initramfs);
        self.ready = Some(Ready {
            at: Instant::now(),
            release: String::from_utf8_lossy(release).into_owned(),
            outgoing,
        });
        // The terminal may have got another size while the guest booted.
        self.resize();
        Ok(())
    }

    fn resize(&self) {
        if self.machine.deterministic {
            return;
        }
        let size = console::size();
        let mut payload = size.rows.to_le_bytes().to_vec();
        payload.extend_from_slice(&size.columns.to_le_bytes());
        if let Some(ready) = &self.ready {
            // A full queue means that the guest does not read; then a size more or less does not matter.
            let _ = ready.outgoing.try_send((Kind::Resize, payload));
        }
    }

    fn exit(&mut self, status: &[u8]) -> Exit {
        self.wait_for_end(POWER_OFF);
        let (release, boot_time) = self.ready.as_ref().map_or_else(Default::default, |ready| {
            (ready.release.clone(), ready.at - self.started)
        });
        Exit {
            status: status.first().copied().unwrap_or(u8::MAX),
            release,
            boot_time,
            missing: self.copies.missing(),
        }
    }

    /// Looks for whatever no frame tells: a panic, an end, silence, too long a run.
    fn look(&mut self) -> Result<(), Error> {
        if self.log.follow().map_err(Error::file("read", self.log.path().to_owned()))? {
            self.sign_of_life = Instant::now();
        }
        let silence = self.sign_of_life.elapsed();
        // After a panic the kernel reboots, which ends QEMU, unless its command line says otherwise.
        if self.log.has_panic() && silence > Duration::from_secs(3) {
            return Err(self.ended());
        }
        // A deterministic guest says nothing while its command runs.
        let is_silent = self.machine.deterministic && self.ready.is_some();
        if silence > self.machine.hang_after && !is_silent {
            let phase =
                if self.ready.is_some() { "while the command ran" } else { "while booting" };
            return Err(Error::Hang {
                silence,
                phase,
                log: self.log.path().to_owned(),
                tail: self.log.tail(),
            });
        }
        match (self.machine.timeout, &self.ready) {
            (Some(limit), Some(ready)) if ready.at.elapsed() > limit => {
                Err(Error::CommandTimeout { limit })
            }
            _ => Ok(()),
        }
    }

    fn wait_for_end(&mut self, at_most: Duration) -> bool {
        let start = Instant::now();
        while !self.running.has_ended() {
            if start.elapsed() > at_most {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Why QEMU is no longer there, or no longer of use.
    fn ended(&mut self) -> Error {
        // An unreadable log must not hide the reason that QEMU gave.
        let _ = self.log.follow();
        if self.log.has_panic() {
            return Error::Panic { log: self.log.path().to_owned(), tail: self.log.tail() };
        }
        let said = std::fs::read_to_string(self.complaints).unwrap_or_default();
        let said = said.trim();
        Error::Ended(match (said.is_empty(), self.running.status()) {
            (false, _) => said.to_owned(),
            (true, Some(status)) => format!("{status}; the end of its log:\n{}", self.log.tail()),
            (true, None) => "it does not answer".to_owned(),
        })
    }
}
