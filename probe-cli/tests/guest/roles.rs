//! What the other process of a test does.

use std::{
    convert::Infallible,
    env, fs,
    io::{self, Write as _},
    os::unix::{ffi::OsStringExt as _, process::CommandExt as _},
    process::Command,
    thread,
    time::Duration,
};

use crate::{
    memory::{Area, PAGE, PMD},
    namespace, restless,
};

/// VMAs of the role `vmas`: each has other rights than its neighbours.
pub(crate) const VMAS: usize = 100_000;
/// Of these, every so many-th has a page of zeroes.
pub(crate) const TOUCHED: usize = 16;
/// Bytes of the role `terabyte`, of which one page in the middle is written.
pub(crate) const TERABYTE: usize = 1 << 40;
/// A name of 15 bytes: an escape sequence, a newline, markup, and a byte that is no UTF-8.
pub(crate) const HOSTILE_COMM: &[u8; 15] = b"\x1b[2J\n<b>&'\"\xff\\))";
/// A file name: the same, and marks that turn the direction of text.
pub(crate) const HOSTILE_FILE: &[u8] = b"\x1b[31m<b title=\"'>&\n\r\xff\xe2\x80\xaetxt\xc2\x9b,\\";

pub(crate) fn play(role: &str) -> io::Result<Infallible> {
    dies_with_its_parent();
    match role {
        "restless" => restless::play(),
        "sleep" => tell(&[]),
        "exit" => std::process::exit(0),
        "exec" => exec(),
        "spawn" => spawn(),
        "vmas" => vmas(VMAS),
        "some-vmas" => vmas(4_000),
        "terabyte" => terabyte(),
        "namespace" => namespace::play(),
        "names" => names(),
        _ => Err(io::Error::other("no such role")),
    }
}

#[expect(unsafe_code, reason = "no test leaves a process behind, not even one that is killed")]
pub(crate) fn dies_with_its_parent() {
    // SAFETY: changes nothing but which signal comes when the parent ends.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// A shell lets what it starts in the background ignore SIGINT, and so would all that is tested.
#[expect(unsafe_code, reason = "only this call lets a program be interrupted again")]
pub(crate) fn can_be_interrupted() {
    // SAFETY: the default action calls no function of ours.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

/// Says that it is ready, in a line with what the test must know, and stays as it is.
pub(crate) fn tell(words: &[usize]) -> io::Result<Infallible> {
    say(words)?;
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Says that it is ready, in a line with what the test must know.
pub(crate) fn say(words: &[usize]) -> io::Result<()> {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let mut out = io::stdout().lock();
    writeln!(out, "ready {}", words.join(" "))?;
    out.flush()
}

/// Becomes the shell, which becomes this program again, and so on, with rests of 0 to 392 ms: however slow the machine is,
/// some are longer than a reading, and some shorter.
fn exec() -> io::Result<Infallible> {
    const TURN: &str = "WALKPROBE_TEST_TURN";
    let turn: u64 = env::var(TURN).ok().and_then(|turn| turn.parse().ok()).unwrap_or(0);
    thread::sleep(Duration::from_millis(8 * (turn % 8).pow(2)));
    let mut shell = Command::new("/bin/sh");
    shell.env(TURN, turn.wrapping_add(1).to_string());
    Err(shell.args(["-c", "exec \"$0\""]).arg(env::current_exe()?).exec())
}

/// Starts one command after another.
fn spawn() -> io::Result<Infallible> {
    say(&[])?;
    loop {
        Command::new("/bin/true").spawn()?.wait()?;
    }
}

fn vmas(count: usize) -> io::Result<Infallible> {
    let area = Area::base(count * PAGE)?;
    for page in (0..count).step_by(2) {
        area.forbid(page * PAGE..(page + 1) * PAGE)?;
    }
    for page in (1..count).step_by(TOUCHED) {
        area.read(page * PAGE..(page + 1) * PAGE);
    }
    tell(&[usize::try_from(area.range().start).unwrap_or(0)])
}

fn terabyte() -> io::Result<Infallible> {
    let area = Area::base(TERABYTE)?;
    area.write(TERABYTE / 2..TERABYTE / 2 + PAGE);
    let forbidden = Area::base(TERABYTE)?;
    forbidden.forbid(0..TERABYTE)?;
    let start = |area: &Area| usize::try_from(area.range().start).unwrap_or(0);
    tell(&[start(&area), start(&forbidden)])
}

/// Has a file with a hostile name mapped, and such a name itself.
fn names() -> io::Result<Infallible> {
    let folder = crate::run::scratch("names");
    fs::create_dir_all(&folder)?;
    let path = folder.join(std::ffi::OsString::from_vec(HOSTILE_FILE.to_vec()));
    fs::write(&path, vec![1; PMD])?;
    let area = Area::file(&fs::File::open(&path)?, PAGE)?;
    fs::remove_dir_all(&folder)?;
    fs::write("/proc/self/comm", HOSTILE_COMM)?;
    tell(&[usize::try_from(area.range().start).unwrap_or(0)])
}
