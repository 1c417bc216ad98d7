//! The live view in a terminal: it answers, it fits, and it gives the terminal back.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::Value;

use crate::{
    need::loops,
    run::{ensure, guest, run, scratch, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("terminal::quit_gives_it_back", quit_gives_it_back),
        Trial::test("terminal::a_signal_gives_it_back", a_signal_gives_it_back),
        Trial::test("terminal::any_size_will_do", any_size_will_do),
        Trial::test("terminal::what_was_chosen_opens", what_was_chosen_opens),
        Trial::test("terminal::what_is_opened_is_followed", what_is_opened_is_followed),
        Trial::test("terminal::a_replay_answers", a_replay_answers),
        Trial::test("terminal::walkers_or_why_not", walkers_or_why_not),
        Trial::test("terminal::walkers_are_compared", walkers_are_compared)
            .with_ignored_flag(guest().is_none())
            .with_kind(if guest().is_none() { "only in a guest: it wants fentry" } else { "" }),
        Trial::test("terminal::none_is_said_in_one_sentence", none_is_said_in_one_sentence),
    ]
}

/// Leaving the alternate screen, and showing the cursor (DEC private modes 1049 and 25).
const RESTORED: [&str; 2] = ["\u{1b}[?1049l", "\u{1b}[?25h"];

/// Long enough for an emulated guest.
const PATIENCE: Duration = Duration::from_mins(3);

/// walkprobe's view in a pseudo terminal.
struct View {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    terminal: OwnedFd,
    before: Termios,
}

impl View {
    fn open(columns: u16, rows: u16) -> Result<Self, Failed> {
        Self::with(columns, rows, &[])
    }

    fn with(columns: u16, rows: u16, arguments: &[&str]) -> Result<Self, Failed> {
        let top = [&["top", "--interval", "0.2"], arguments].concat();
        Self::of(columns, rows, &top)
    }

    /// The view of any command.
    fn of(columns: u16, rows: u16, arguments: &[&str]) -> Result<Self, Failed> {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&keyboard)?;
        unlockpt(&keyboard)?;
        let name = ptsname(&keyboard, Vec::new())?;
        let open = || File::options().read(true).write(true).open(name.to_str().unwrap_or(""));
        let terminal: OwnedFd = open()?.into();
        let before = tcgetattr(&terminal)?;
        resize(&terminal, columns, rows)?;
        let child = walkprobe()
            .args(arguments)
            .env("TERM", "xterm-256color")
            .stdin(open()?)
            .stdout(open()?)
            .stderr(open()?)
            .spawn()?;
        let keyboard = File::from(keyboard);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, copy) = (keyboard.try_clone()?, Arc::clone(&screen));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(number @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..number]).into_owned();
                copy.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Ok(Self { child, keyboard, screen, terminal, before })
    }

    /// Waits until the screen has shown these words.
    fn wait_for(&self, words: &str) -> Result<(), Failed> {
        self.wait_for_after(0, words)
    }

    /// The same, of what was shown after so many bytes.
    fn wait_for_after(&self, mark: usize, words: &str) -> Result<(), Failed> {
        let end = Instant::now() + PATIENCE;
        while !self.shown().get(mark..).is_some_and(|shown| shown.contains(words)) {
            ensure(Instant::now() < end, || {
                format!("no {words:?} at the end of {:?}", tail(&self.shown()))
            })?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn shown(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn press(&mut self, keys: &str) -> Result<(), Failed> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Waits for the end, and checks that the terminal is as it was.
    fn ended(mut self) -> Result<ExitStatus, Failed> {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > end {
                self.child.kill()?;
                self.child.wait()?;
                return Err("it hung".into());
            }
            thread::sleep(Duration::from_millis(20));
        };
        for sequence in RESTORED {
            self.wait_for(sequence)?;
        }
        let after = tcgetattr(&self.terminal)?;
        let same = after.local_modes == self.before.local_modes
            && after.input_modes == self.before.input_modes
            && after.output_modes == self.before.output_modes;
        ensure(same, || "the terminal's modes are not as they were".to_owned())?;
        Ok(status)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // Fails when it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(text: &str) -> &str {
    text.char_indices().rev().nth(300).map_or(text, |(at, _)| &text[at..])
}

fn resize(terminal: &OwnedFd, columns: u16, rows: u16) -> Result<(), Failed> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}

fn quit_gives_it_back() -> Result<(), Failed> {
    let mut view = View::open(100, 30)?;
    view.wait_for("PID")?;
    view.press("?")?;
    view.wait_for("Ctrl-C")?;
    view.press("q")?;
    let status = view.ended()?;
    ensure(status.success(), || format!("{status}"))
}

fn a_signal_gives_it_back() -> Result<(), Failed> {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let view = View::open(80, 24)?;
        view.wait_for("PID")?;
        kill_process(Pid::from_child(&view.child), signal)?;
        let status = view.ended()?;
        ensure(status.success(), || format!("{signal:?}: {status}"))?;
    }
    Ok(())
}

fn any_size_will_do() -> Result<(), Failed> {
    let mut view = View::open(20, 5)?;
    // Words are drawn one by one, with cursor movements between them.
    view.wait_for("small")?;
    for (columns, rows) in [(1, 1), (80, 24), (0, 0), (200, 60), (20, 5), (80, 24)] {
        resize(&view.terminal, columns, rows)?;
        kill_process(Pid::from_child(&view.child), Signal::WINCH)?;
        thread::sleep(Duration::from_millis(300));
    }
    view.wait_for("PID")?;
    view.press("q")?;
    let status = view.ended()?;
    ensure(status.success(), || format!("{status}"))
}

/// From the process to its VMAs, to one of them, and what is said when it has ended.
fn what_was_chosen_opens() -> Result<(), Failed> {
    let mut process = walkprobe().args(["workload", "demo"]).stdout(Stdio::null()).spawn()?;
    let opened = open_all(&process.id().to_string());
    process.kill()?;
    process.wait()?;
    let mut view = opened?;
    view.wait_for("ENDED")?;
    view.press("q")?;
    let status = view.ended()?;
    ensure(status.success(), || format!("{status}"))
}

fn open_all(pid: &str) -> Result<View, Failed> {
    let mut view = View::with(100, 30, &["-p", pid])?;
    view.wait_for("PID")?;
    // The first row may not be there yet; below one VMA there is nothing more to open.
    let end = Instant::now() + PATIENCE;
    while !view.shown().contains("newest") {
        ensure(Instant::now() < end, || format!("no VMA opens: {:?}", tail(&view.shown())))?;
        view.press("\r")?;
        thread::sleep(Duration::from_millis(500));
    }
    view.press("+n")?;
    Ok(view)
}

/// Without a PID the map is read when the process is opened.
fn what_is_opened_is_followed() -> Result<(), Failed> {
    let mut view = View::open(100, 30)?;
    // The column of a leaf size: somebody has been counted, walkprobe itself at least.
    view.wait_for("sizes")?;
    view.press("j\r")?;
    view.wait_for("kept")?;
    view.wait_for("LEAVES")?;
    view.press("\u{1b}")?;
    view.press("q")?;
    let status = view.ended()?;
    ensure(status.success(), || format!("{status}"))
}

/// A trace is played, held, gone through, and seen to its end; without rights, where there are others to be had.
fn a_replay_answers() -> Result<(), Failed> {
    let file = scratch("terminal.jsonl.zst");
    let pid = std::process::id().to_string();
    let mut command = walkprobe();
    command.args(["trace", "--duration", "2", "--maps", "-p", &pid, "-o"]).arg(&file);
    let ended = run(&mut command)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    let path = file.to_str().ok_or("no path")?.to_owned();
    let mut view = View::of(100, 30, &["replay", "--paused", &path])?;
    view.wait_for("PAUSED")?;
    view.press(" ")?;
    view.wait_for("plays")?;
    // To its end, faster than it was; then back to its beginning, where it plays again.
    view.press("ff")?;
    view.wait_for("THE END")?;
    view.press(" ")?;
    view.wait_for("PID")?;
    view.press("c")?;
    // The end of the sentence that a trace has no walkers.
    view.wait_for("happen.")?;
    view.press("q")?;
    let status = view.ended()?;
    std::fs::remove_file(&file)?;
    ensure(status.success(), || format!("{status}"))
}

/// Where `walkprobe walks` can count, so can the view; elsewhere it says why not.
fn walkers_or_why_not() -> Result<(), Failed> {
    let ended = run(walkprobe().args(["walks", "--walker", "smaps", "--duration", "0.1"]))?;
    let words = match ended.code() {
        Some(0) => "counted",
        Some(4) => "cannot",
        code => return Err(format!("walks ended with {code:?}: {}", ended.stderr).into()),
    };
    let mut view = View::open(100, 30)?;
    view.wait_for("PID")?;
    view.press("c")?;
    view.wait_for(words)?;
    view.press("q")?;
    let status = view.ended()?;
    ensure(status.success(), || format!("{status}"))
}

/// Walkers are driven over known leaves while the view counts: both paths stand side by side, with all the calls.
fn walkers_are_compared() -> Result<(), Failed> {
    let mut command = walkprobe();
    command.args(["workload", "walks", "mixed", "--walker", "smaps", "--rounds", "40", "--wait"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let pid = line.trim().strip_prefix("ready ").ok_or("the space was not built")?.to_owned();
    let mut view = View::with(100, 30, &["-p", &pid])?;
    view.wait_for("PID")?;
    view.press("c")?;
    view.wait_for("counted")?;
    stdin.write_all(b"go\n")?;
    line.clear();
    stdout.read_line(&mut line)?;
    let driven: Value = serde_json::from_str(&line)?;
    // By the median of hugetlb, which stands 6 columns to the right of the time: only this row has one, and is the first then.
    view.press(">>>>>>")?;
    thread::sleep(Duration::from_secs(2));
    view.press("\r")?;
    view.wait_for("WALKED")?;
    // All words are drawn anew, each in one piece.
    let mark = view.shown().len();
    resize(&view.terminal, 110, 40)?;
    kill_process(Pid::from_child(&view.child), Signal::WINCH)?;
    for path in ["generic", "hugetlb"] {
        let expected = driven["walkers"].as_array().into_iter().flatten();
        let mut rows =
            expected.flat_map(|walker| walker["expected"].as_array().into_iter().flatten());
        let row = rows.find(|row| row["path"] == path && row["level"] == "pmd");
        let calls = row.and_then(|row| row["calls"].as_u64()).ok_or("no calls are expected")?;
        // Where leaf maps are read by way of smaps, there are some of the view's own.
        if loops().is_none() {
            view.wait_for_after(mark, &calls.to_string())?;
        }
        view.wait_for_after(mark, &path.to_uppercase())?;
    }
    view.wait_for_after(mark, "WALKED")?;
    view.press("q")?;
    let status = view.ended()?;
    drop(stdin);
    child.wait()?;
    ensure(status.success(), || format!("{status}"))
}

fn none_is_said_in_one_sentence() -> Result<(), Failed> {
    let ended = run(walkprobe().arg("top"))?;
    let one_line = ended.stderr.trim_end().lines().count() == 1;
    ensure(ended.code() == Some(1) && one_line && ended.stderr.contains("--batch"), || {
        format!("{:?}: {}", ended.status, ended.stderr)
    })
}
