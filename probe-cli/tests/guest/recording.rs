//! Files of traces: they are valid whatever ends the recording, each stands for itself, and they are their user's.

use std::{
    fs,
    io::BufRead as _,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    process::{self, Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use walkprobe::{
    input::Input,
    live::source::LiveSource,
    maps::source::{MapSource as _, Wants},
    model::diff::diff,
    session::Session,
    trace::{footer::End, open::open},
    track::reading::Why,
};

use crate::{
    child::{Actor, until},
    memory::{Area, PAGE},
    need,
    run::{Ended, ensure, run, scratch, wait, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    let guest = need::a_guest("it mounts file systems and fills them");
    let trial = |name: &str, lack: &need::Lack, test: fn() -> Result<(), Failed>| {
        Trial::test(format!("recording::{name}"), test)
            .with_ignored_flag(lack.is_some())
            .with_kind(lack.clone().unwrap_or_default())
    };
    vec![
        trial("a_killed_trace_is_read", &None, a_killed_trace_is_read),
        trial("a_full_disk_is_told", &guest, a_full_disk_is_told),
        trial("files_stand_for_themselves", &need::loops(), files_stand_for_themselves),
        trial("limits_are_kept", &None, limits_are_kept),
        trial("files_are_their_users", &None, files_are_their_users),
        trial("a_replay_ends_as_the_process_was", &need::loops(), a_replay_ends_as_it_was),
    ]
}

/// This process is busy: it makes and frees memory, until dropped.
struct Busy {
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Busy {
    fn begin() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            while !flag.load(Relaxed) {
                if let Ok(area) = Area::base(64 * PAGE) {
                    area.write(0..64 * PAGE);
                }
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        // It cannot panic, and if it did, the test sees too few events.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// Begins to trace the faults of this process: few probes are attached soon.
fn tracer(file: &Path, options: &[&str]) -> Result<Child, Failed> {
    let mut command = walkprobe();
    command.arg("trace").args(options).args(["--events", "fault"]);
    command.args(["-p", &process::id().to_string(), "-o"]).arg(file);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// What a trace has, and what is said about it at its end.
fn read(file: &Path) -> Result<(u64, Session, Vec<String>, Option<End>), Failed> {
    let mut reader = open(file).map_err(|error| format!("{error:#}"))?;
    let mut session = Session::default();
    while let Some(input) = reader.next_input()? {
        session.take(input);
    }
    let end = reader.footer().map(|footer| footer.reason);
    Ok((session.events(), session, reader.complaints(), end))
}

fn a_killed_trace_is_read() -> Result<(), Failed> {
    // Of the compressed one a few frames, a second each.
    for (name, most) in [("killed.jsonl", 100_000), ("killed.jsonl.zst", 20_000)] {
        let file = scratch(name);
        let mut child = tracer(&file, &[])?;
        let busy = Busy::begin();
        let grown = until("a trace", || (size(&file) > most).then_some(()));
        child.kill()?;
        child.wait()?;
        drop(busy);
        grown?;
        let (events, _, complaints, end) = read(&file)?;
        fs::remove_file(&file)?;
        ensure(events > 100 && end.is_none(), || format!("{name}: {events} events, {end:?}"))?;
        ensure(complaints.len() == 1 && complaints[0].contains("was cut"), || {
            format!("{name}: {complaints:?}")
        })?;
    }
    Ok(())
}

/// A file system that is full soon; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn new() -> Result<Self, Failed> {
        let path = scratch("disk");
        fs::create_dir(&path)?;
        let mut mount = process::Command::new("mount");
        let ended = run(mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&path))?;
        ensure(ended.code() == Some(0), || ended.stderr.clone())?;
        Ok(Self(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What cannot be unmounted ends with the guest.
        let _ = run(process::Command::new("umount").arg(&self.0));
        let _ = fs::remove_dir(&self.0);
    }
}

fn a_full_disk_is_told() -> Result<(), Failed> {
    let disk = Disk::new()?;
    for name in ["full.jsonl", "full.jsonl.zst"] {
        let file = disk.0.join(name);
        let child = tracer(&file, &[])?;
        let busy = Busy::begin();
        let ended = wait(child)?;
        drop(busy);
        ensure(ended.code() == Some(6) && ended.stderr.contains("free some space"), || {
            format!("{name}: {:?}: {}", ended.status, ended.stderr)
        })?;
        let (events, _, complaints, _) = read(&file)?;
        fs::remove_file(&file)?;
        ensure(events > 50 && complaints.len() == 1, || {
            format!("{name}: {events} events, {complaints:?}")
        })?;
    }
    Ok(())
}

fn stopped(child: Child) -> Result<Ended, Failed> {
    kill_process(Pid::from_child(&child), Signal::INT)?;
    let ended = wait(child)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    Ok(ended)
}

fn files_stand_for_themselves() -> Result<(), Failed> {
    let file = scratch("parts.jsonl");
    let part = |number: u32| match number {
        0 => file.clone(),
        number => PathBuf::from(format!("{}.{number}", file.display())),
    };
    let child = tracer(&file, &["--maps", "--rotate", "1M"])?;
    let busy = Busy::begin();
    let grown = until("three files", || part(3).exists().then_some(()));
    let ended = stopped(child);
    drop(busy);
    grown?;
    ended?;
    let mut number = 0;
    while part(number).exists() {
        let path = part(number);
        let (_, session, complaints, end) = read(&path)?;
        let is_last = !part(number + 1).exists();
        let expected = if is_last { End::Signal } else { End::Rotated };
        ensure(end == Some(expected) && complaints.is_empty(), || {
            format!("part {number}: {end:?}, {complaints:?}")
        })?;
        let map = session.maps().get(&process::id()).ok_or("no map")?;
        ensure(map.vmas().len() > 10, || format!("part {number}: too little"))?;
        // Of what waits in the ring buffer a part takes a batch, however much there is.
        ensure(is_last || (1 << 20..2 << 20).contains(&size(&path)), || {
            format!("part {number}: {} bytes", size(&path))
        })?;
        ensure(begins_with_everything(&path)?, || format!("part {number}: no first reading"))?;
        fs::remove_file(&path)?;
        number += 1;
    }
    ensure(number > 3, || format!("{number} parts"))
}

/// Whether the first reading is one of everything.
fn begins_with_everything(file: &Path) -> Result<bool, Failed> {
    let mut reader = open(file).map_err(|error| format!("{error:#}"))?;
    while let Some(input) = reader.next_input()? {
        if let Input::Reading(reading) = input {
            let is_blind = crate::run::guest().is_none();
            return Ok((reading.why == Why::Start || is_blind) && reading.vmas.is_some());
        }
    }
    Ok(false)
}

fn limits_are_kept() -> Result<(), Failed> {
    let file = scratch("limits.jsonl");
    for (options, reason) in
        [(["--max-events", "777"], End::Events), (["--max-size", "1M"], End::Size)]
    {
        let child = tracer(&file, &options)?;
        let busy = Busy::begin();
        let ended = wait(child)?;
        drop(busy);
        ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
        let (events, _, complaints, end) = read(&file)?;
        ensure(complaints.is_empty() && end == Some(reason), || {
            format!("{options:?}: {end:?}, {complaints:?}")
        })?;
        let is_right = if reason == End::Events {
            events == 777
        } else {
            (700_000..=1 << 20).contains(&size(&file))
        };
        ensure(is_right, || format!("{options:?}: {events} events, {} bytes", size(&file)))?;
    }
    fs::remove_file(&file)?;
    Ok(())
}

fn files_are_their_users() -> Result<(), Failed> {
    let file = scratch("owned.jsonl");
    let link = scratch("link.jsonl");
    let trace = |path: &Path| -> Result<Ended, Failed> {
        let mut command = walkprobe();
        command.env("SUDO_UID", "1234").env("SUDO_GID", "2345");
        run(command.args(["trace", "--events", "fault", "-o"]).arg(path).args(["--", "true"]))
    };
    // The second time the file is there, and is that user's.
    for _ in 0..2 {
        let ended = trace(&file)?;
        ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
        let found = fs::metadata(&file)?;
        ensure((found.uid(), found.gid(), found.mode() & 0o777) == (1234, 2345, 0o600), || {
            format!("{}:{} {:o}", found.uid(), found.gid(), found.mode())
        })?;
    }
    symlink(&file, &link)?;
    let ended = trace(&link)?;
    ensure(ended.code() == Some(6) && ended.stderr.contains("symbolic link"), || {
        format!("{:?}: {}", ended.status, ended.stderr)
    })?;
    fs::remove_file(&link)?;
    // Another user's.
    std::os::unix::fs::chown(&file, Some(4321), None)?;
    let ended = trace(&file)?;
    let is_kept = fs::read(&file)?.lines().count() > 1;
    fs::remove_file(&file)?;
    ensure(ended.code() == Some(6) && ended.stderr.contains("another user") && is_kept, || {
        format!("{:?}: {}", ended.status, ended.stderr)
    })
}

/// A process is recorded until it waits; the map of the replay is what a scan finds then.
fn a_replay_ends_as_it_was() -> Result<(), Failed> {
    let file = scratch("replay.jsonl.zst");
    let mut actor = Actor::new("some-vmas")?;
    actor.words()?;
    let pid = actor.pid();
    let mut command = walkprobe();
    command.args(["trace", "--maps", "--events", "fault,change,vma", "--duration", "2"]);
    command.args(["-p", &pid.to_string(), "-o"]).arg(&file);
    let ended = run(&mut command)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    let mut source = LiveSource::open(Wants::default());
    let scanned = source.read(pid, Wants::default()).map_err(anyhow::Error::new)?;
    let (_, session, complaints, _) = read(&file)?;
    let replayed = session.maps().get(&pid).ok_or("no map")?.snapshot();
    let difference = diff(&replayed, &scanned);
    ensure(difference.is_empty() && complaints.is_empty() && replayed.vmas().count() > 5, || {
        format!("wrong in {} places; {complaints:?}", difference.changes.len())
    })?;
    // And the view of it, as text.
    let ended = run(walkprobe().args(["replay", "--batch"]).arg(&file))?;
    fs::remove_file(&file)?;
    ensure(ended.code() == Some(0) && ended.stdout.contains(&pid.to_string()), || {
        format!("{:?}: {}{}", ended.status, ended.stdout, ended.stderr)
    })
}
