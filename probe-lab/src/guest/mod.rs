//! The side inside the guest: its first process.

mod channel;
mod command;
mod files;
mod modules;
mod mounts;
mod network;
mod orders;
mod session;

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use rustix::system::{RebootCommand, reboot, sethostname, uname};

use crate::protocol::{INIT, Kind};
use channel::Channel;
use orders::Orders;

const HOST_NAME: &[u8] = b"guest";
/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Whether this program was called as a guest's init: then [`run`] is all that it is to do.
#[must_use]
pub fn is_called() -> bool {
    std::env::args_os().next().is_some_and(|name| name == INIT)
}

/// Does the work of a guest's init and powers the machine off; as `init session TTY COMMAND...`, runs a command in a
/// session of its own. Elsewhere it only says that it is no program for people.
pub fn run() {
    let arguments: Vec<_> = std::env::args_os().collect();
    let is_first = rustix::process::getpid() == rustix::process::Pid::INIT;
    // The kernel gives the first process the words of its command line that it does not know.
    if !is_first && arguments.get(1).is_some_and(|word| word == session::WORD) {
        let error = session::enter(&arguments[2..]);
        say(&format!("the command cannot be started: {error}"));
        std::process::exit(126);
    }
    if !is_first {
        say("this is the init of walkprobe's guests; it only works as the first process");
        std::process::exit(125);
    }
    if let Err(error) = init() {
        // Without a channel, the kernel's log is all there is.
        say(&format!("init: {error}"));
    }
    let _ = reboot(RebootCommand::PowerOff);
    // Only reached when the kernel refuses; its panic then tells the host.
}

fn init() -> io::Result<()> {
    let mut troubles = mounts::mount_all();
    troubles.extend(modules::load_all());
    let channel = Channel::open()?;
    let _ = sethostname(HOST_NAME);
    if let Err(error) = network::loopback_up() {
        troubles.push(format!("lo stays down: {error}"));
    }
    for trouble in troubles {
        say(&format!("init: {trouble}"));
    }
    channel.send(Kind::Ready, uname().release().to_bytes())?;
    match Orders::read().and_then(|orders| obey(&orders, &channel)) {
        Ok(status) => channel.send(Kind::Exit, &u32::from(status).to_le_bytes()),
        Err(error) => channel.send(Kind::Trouble, error.to_string().as_bytes()),
    }?;
    channel.drain()
}

/// Runs the command, and sends the files that are wanted however it ended.
fn obey(orders: &Orders, channel: &Channel) -> io::Result<u8> {
    if !orders.deterministic {
        beat(channel.clone());
    }
    let outcome = command::run(orders, channel);
    files::send_all(&orders.copy_out, channel)?;
    outcome
}

/// Gives signs of life.
fn beat(channel: Channel) {
    thread::spawn(move || {
        while channel.send(Kind::Alive, &[]).is_ok() {
            thread::sleep(HEARTBEAT);
        }
    });
}

/// A line for the kernel's console, which is standard error of init.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
