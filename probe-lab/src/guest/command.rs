//! Runs the command: with pipes, with a terminal, or with files that are sent when it has ended.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, wait};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::channel::Channel;
use super::orders::Orders;
use super::session;
use crate::machine::Terminal;
use crate::protocol::{INIT, Kind};

const PATH: &str = "/bin:/sbin:/usr/bin:/usr/sbin";
/// Where the command starts.
pub(super) const HOME: &str = "/root";
/// What a deterministic command writes.
const OUTPUT: &str = "/run/stdout";
const ERRORS: &str = "/run/stderr";
/// Bytes of output in one frame.
const CHUNK: usize = 32 * 1024;
/// Output still comes from what the command left running; it ends when there is none for this long.
const QUIET: Duration = Duration::from_millis(200);

/// Runs the command to its end; gives its exit status, or 128 and the signal that killed it.
pub(super) fn run(orders: &Orders, channel: &Channel) -> io::Result<u8> {
    if orders.deterministic {
        return with_files(orders, channel);
    }
    let (pid, pumps) = match orders.terminal {
        None => with_pipes(orders, channel)?,
        Some(size) => with_terminal(orders, channel, size)?,
    };
    let status = wait_for(pid)?;
    pumps.finish();
    Ok(status)
}

fn with_pipes(orders: &Orders, channel: &Channel) -> io::Result<(u32, Pumps)> {
    let mut command = Command::new(program(orders)?);
    command.args(&orders.command[1..]);
    surroundings(&mut command, orders);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| named(orders, &error))?;
    let mut stdin = child.stdin.take();
    channel.listen(move |kind, bytes| {
        if kind == Kind::Stdin {
            let written = stdin.as_mut().map(|stdin| stdin.write_all(&bytes));
            if bytes.is_empty() || written.is_some_and(|written| written.is_err()) {
                stdin = None;
            }
        }
    })?;
    let mut pumps = Pumps::default();
    if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
        pumps.add(stdout, channel.clone(), Kind::Stdout);
        pumps.add(stderr, channel.clone(), Kind::Stderr);
    }
    Ok((child.id(), pumps))
}

/// While the command runs, nothing comes from the host, and nothing goes there: when it is ready for more, or has taken something, is
/// what no two runs have in common.
fn with_files(orders: &Orders, channel: &Channel) -> io::Result<u8> {
    let mut command = Command::new(program(orders)?);
    command.args(&orders.command[1..]);
    surroundings(&mut command, orders);
    let outputs = [(OUTPUT, Kind::Stdout), (ERRORS, Kind::Stderr)];
    let [stdout, stderr] = outputs.map(|(path, _)| File::create(path));
    command.stdin(Stdio::null()).stdout(stdout?).stderr(stderr?);
    let child = command.spawn().map_err(|error| named(orders, &error))?;
    let status = wait_for(child.id())?;
    for (path, kind) in outputs {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => channel.send(kind, &buffer[..count])?,
            }
        }
    }
    Ok(status)
}

fn with_terminal(orders: &Orders, channel: &Channel, size: Terminal) -> io::Result<(u32, Pumps)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    set_size(&master, size)?;
    let name = ptsname(&master, Vec::new())?;
    let mut command = Command::new(INIT);
    command
        .arg(session::WORD)
        .arg(name.to_string_lossy().as_ref())
        .arg(program(orders)?)
        .args(&orders.command[1..]);
    surroundings(&mut command, orders);
    let child = command.spawn().map_err(|error| named(orders, &error))?;
    let mut keyboard = File::from(master.try_clone()?);
    channel.listen(move |kind, bytes| match kind {
        Kind::Stdin => {
            let _ = keyboard.write_all(&bytes);
        }
        Kind::Resize => {
            if let &[a, b, c, d] = bytes.as_slice() {
                let rows = u16::from_le_bytes([a, b]);
                let columns = u16::from_le_bytes([c, d]);
                let _ = set_size(&keyboard, Terminal { rows, columns });
            }
        }
        _ => {}
    })?;
    let mut pumps = Pumps::default();
    pumps.add(File::from(master), channel.clone(), Kind::Stdout);
    Ok((child.id(), pumps))
}

fn set_size(terminal: &impl std::os::fd::AsFd, size: Terminal) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}

fn surroundings(command: &mut Command, orders: &Orders) {
    let _ = fs::create_dir_all(HOME);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", HOME)
        .env("TERM", "linux")
        .envs(orders.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(HOME);
}

/// The program's path, looked up in the guest's PATH and not in init's, which has none.
fn program(orders: &Orders) -> io::Result<std::path::PathBuf> {
    let name = std::path::Path::new(&orders.command[0]);
    if name.components().count() > 1 || name.is_absolute() {
        return Ok(name.to_owned());
    }
    std::env::split_paths(PATH)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            named(
                orders,
                &io::Error::other(format!("no such program in {PATH}; --add puts one there")),
            )
        })
}

fn named(orders: &Orders, error: &io::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", orders.command[0].display()))
}

/// Waits for the command; what others left behind is reaped on the way, as is the duty of a first process.
fn wait_for(command: u32) -> io::Result<u8> {
    let command = i32::try_from(command).ok().and_then(Pid::from_raw);
    loop {
        let Some((pid, status)) = wait(WaitOptions::empty())? else {
            continue;
        };
        if Some(pid) == command {
            let code = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => code,
                (None, Some(signal)) => 128 + signal,
                (None, None) => continue,
            };
            return Ok(u8::try_from(code).unwrap_or(u8::MAX));
        }
    }
}

/// Threads that carry output to the host.
#[derive(Default)]
struct Pumps {
    threads: Vec<JoinHandle<()>>,
    carried: Arc<AtomicU64>,
}

impl Pumps {
    fn add(
        &mut self,
        mut from: impl Read + Into<OwnedFd> + Send + 'static,
        channel: Channel,
        kind: Kind,
    ) {
        let carried = Arc::clone(&self.carried);
        self.threads.push(thread::spawn(move || {
            let mut buffer = vec![0; CHUNK];
            loop {
                match from.read(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // A terminal without processes reads as an error.
                    Ok(0) | Err(_) => return,
                    Ok(count) => {
                        if channel.send(kind, &buffer[..count]).is_err() {
                            return;
                        }
                        carried.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }));
    }

    /// Waits until all output is carried, or until nothing comes from what still holds the other end.
    fn finish(self) {
        loop {
            let before = self.carried.load(Ordering::Relaxed);
            for _ in 0..QUIET.as_millis() {
                if self.threads.iter().all(JoinHandle::is_finished) {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
            if self.carried.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}
