//! How `walkprobe maps` ends when there is nothing to show, or nowhere to show it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use walkprobe::maps::json;

use crate::{
    child::{Actor, command, until},
    input::{one_sentence, which},
    run::{Ended, ensure, note, run, scratch, wait, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("ends::no_process", no_process),
        Trial::test("ends::a_kernel_thread", a_kernel_thread),
        Trial::test("ends::a_zombie", a_zombie),
        Trial::test("ends::no_pid", no_pid),
        Trial::test("ends::itself", itself),
        Trial::test("ends::another_pid_namespace", another_pid_namespace),
        Trial::test("ends::another_user", another_user),
        Trial::test("ends::closed_pipe", closed_pipe),
        Trial::test("ends::full_disk", full_disk),
        Trial::test("ends::interrupt", interrupt),
    ]
}

/// The forms on standard output.
const FORMS: [&str; 4] = ["--json", "--csv", "--runs", "--sort=address"];

fn maps(words: &[&str]) -> Result<Ended, Failed> {
    run(walkprobe().arg("maps").args(words))
}

fn no_process() -> Result<(), Failed> {
    // 4194305 is above the largest PID that Linux gives (PID_MAX_LIMIT).
    for pid in ["0", "4194305", "2147483648", "4294967295"] {
        one_sentence(&maps(&[pid])?, 5, &format!("there is no process {pid}; "))?;
    }
    Ok(())
}

fn a_kernel_thread() -> Result<(), Failed> {
    if fs::read_to_string("/proc/2/comm").unwrap_or_default().trim() != "kthreadd" {
        note("ends::a_kernel_thread: in this PID namespace there is none");
        return Ok(());
    }
    one_sentence(&maps(&["2"])?, 5, "it is a kernel thread")
}

fn a_zombie() -> Result<(), Failed> {
    let mut child = command("exit")?.spawn()?;
    let stat = format!("/proc/{}/stat", child.id());
    until("the zombie", || fs::read_to_string(&stat).ok().filter(|stat| stat.contains(") Z ")))?;
    let ended = maps(&[&child.id().to_string()]);
    child.wait()?;
    one_sentence(&ended?, 5, "has ended and only waits for its parent")
}

fn no_pid() -> Result<(), Failed> {
    for word in ["-1", "4294967296", "99999999999999999999", "self", "1.5", "", "0x10"] {
        let ended = maps(&[word])?;
        ensure(ended.code() == Some(2) && ended.stdout.is_empty(), || {
            format!("{word:?}: {:?}: {}", ended.status, ended.stderr)
        })?;
    }
    Ok(())
}

/// A process that was asked for by its PID is shown, whichever it is; only `--all` leaves itself out.
fn itself() -> Result<(), Failed> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec \"$0\" maps --json $$"]).arg(which(walkprobe().get_program())?);
    let ended = run(&mut shell)?;
    ensure(ended.code() == Some(0), || ended.stderr)?;
    let set = json::read(&ended.stdout)?.remove(0);
    ensure(set.origin().comm == "walkprobe" && set.maps().len() > 3, || ended.stdout)?;
    let child = walkprobe()
        .args(["maps", "--all", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = child.id();
    let all = json::read(&wait(child)?.stdout)?;
    let has = |pid| all.iter().any(|set| set.origin().pid == pid);
    ensure(has(std::process::id()) && !has(pid), || format!("{pid} in {} processes", all.len()))
}

fn another_pid_namespace() -> Result<(), Failed> {
    let free = |pid: &u32| !fs::exists(format!("/proc/{pid}")).unwrap_or(true);
    let inner = (3..10_000_u32).find(free).ok_or("no PID is free")?;
    let mut role = command("namespace")?;
    role.arg(inner.to_string());
    let mut actor = Actor::start(role)?;
    let words = actor.words()?;
    if words.get(1).is_some_and(|word| word == "0") {
        note("ends::another_pid_namespace: unshare is refused here");
        return Ok(());
    }
    let ends_so = format!("\t{inner}");
    let outer = until("the process in the namespace", || {
        fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .find(|pid| {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                status.lines().any(|line| {
                    line.starts_with("NSpid:")
                        && line.ends_with(&ends_so)
                        && line.contains(pid.as_str())
                })
            })
    })?;
    let ended = maps(&["--json", &outer])?;
    ensure(ended.code() == Some(0), || ended.stderr)?;
    let set = json::read(&ended.stdout)?.remove(0);
    ensure(set.origin().pid.to_string() == outer, || ended.stdout)?;
    one_sentence(&maps(&[&inner.to_string()])?, 5, "there is no process")
}

fn another_user() -> Result<(), Failed> {
    // The binary may stand where only root can go.
    let copy = scratch("maps-unprivileged");
    fs::copy(which(walkprobe().get_program())?, &copy)?;
    let actor = Actor::new("sleep")?;
    let as_nobody = |program: &mut Command| run(program.uid(65534).gid(65534));
    let foreign = as_nobody(Command::new(&copy).args(["maps", &actor.pid().to_string()]));
    let own =
        as_nobody(Command::new("/bin/sh").args(["-c", "exec \"$0\" maps --json $$"]).arg(&copy));
    fs::remove_file(&copy)?;
    one_sentence(&foreign?, 4, "may not be read: run as root, or with CAP_SYS_PTRACE")?;
    // Its own processes it may read, by other ways than eBPF.
    let own = own?;
    let sets = json::read(&own.stdout).map_err(|_| format!("{:?}: {}", own.status, own.stderr))?;
    ensure(own.code() == Some(0) && sets[0].maps().len() > 3, || own.stderr)
}

/// Like `walkprobe maps ... | head -1`.
fn closed_pipe() -> Result<(), Failed> {
    let mut actor = Actor::new("some-vmas")?;
    actor.words()?;
    for form in FORMS {
        let mut child = walkprobe()
            .args(["maps", form, &actor.pid().to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // More is to come than a pipe holds.
        child.stdout.take().ok_or("no output")?.read_exact(&mut [0])?;
        let ended = wait(child)?;
        ensure(ended.code() == Some(0) && ended.stderr.is_empty(), || {
            format!("{form}: {:?}: {}", ended.status, ended.stderr)
        })?;
    }
    Ok(())
}

fn full_disk() -> Result<(), Failed> {
    let mut actor = Actor::new("some-vmas")?;
    actor.words()?;
    let pid = actor.pid().to_string();
    for form in FORMS {
        let child = walkprobe()
            .args(["maps", form, &pid])
            .stdout(File::options().write(true).open("/dev/full")?)
            .stderr(Stdio::piped())
            .spawn()?;
        let ended = wait(child)?;
        one_sentence(&ended, 6, "cannot write standard output: ")
            .and_then(|()| one_sentence(&ended, 6, "free some space"))
            .map_err(|failed| format!("{form}: {}", failed.message().unwrap_or_default()))?;
    }
    one_sentence(&maps(&[&pid, "--svg", "/dev/full"])?, 6, "cannot write /dev/full: ")?;
    one_sentence(&maps(&[&pid, "--svg", "/nowhere/x.svg"])?, 6, "cannot write /nowhere/x.svg: ")
}

/// It ends at once, and every line that is complete is whole.
fn interrupt() -> Result<(), Failed> {
    let mut actors = [Actor::new("some-vmas")?, Actor::new("some-vmas")?];
    for actor in &mut actors {
        actor.words()?;
    }
    let mut child = walkprobe()
        .args(["maps", "--all", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdout = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut text = String::new();
    stdout.read_line(&mut text)?;
    // More is to come than a pipe holds, so it has not ended.
    kill_process(Pid::from_child(&child), Signal::INT)?;
    stdout.read_to_string(&mut text)?;
    let ended = wait(child)?;
    ensure(ended.status.signal() == Some(2) && ended.stderr.is_empty(), || {
        format!("{:?}: {}", ended.status, ended.stderr)
    })?;
    let complete = text.rfind('\n').map_or("", |end| &text[..=end]);
    ensure(!json::read(complete)?.is_empty(), || text.clone())
}
