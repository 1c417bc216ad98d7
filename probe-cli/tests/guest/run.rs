//! Runs walkprobe, and reads what it wrote.

use std::{
    env,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use serde_json::Value;
use walkprobe::event::Event;

/// No test takes longer than this, in an emulated guest on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The binary under test.
pub(crate) fn walkprobe() -> Command {
    Command::new(env::var_os("WALKPROBE_BIN").unwrap_or_else(|| "walkprobe".into()))
}

/// The guest's kernel series; `None` on a machine at hand.
pub(crate) fn guest() -> Option<String> {
    env::var("WALKPROBE_GUEST").ok()
}

/// A path for a file of this test.
pub(crate) fn scratch(name: &str) -> PathBuf {
    env::temp_dir().join(format!("walkprobe-test-{}-{name}", std::process::id()))
}

/// What a command wrote, and how it ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Runs a command to its end; one that hangs is ended and fails the test.
pub(crate) fn run(command: &mut Command) -> Result<Ended, Failed> {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    wait(child)
}

/// Waits for a child whose output is piped.
pub(crate) fn wait(mut child: Child) -> Result<Ended, Failed> {
    let reader = |stream: Option<Box<dyn std::io::Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                // What came until the stream broke is what there is.
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = reader(child.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = reader(child.stderr.take().map(|stream| Box::new(stream) as _));
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Err(format!("it hung for {PATIENCE:?}").into());
        }
        thread::sleep(Duration::from_millis(10));
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().map_err(|_| "a reader panicked");
    Ok(Ended { status, stdout: text(stdout)?, stderr: text(stderr)? })
}

/// A trace that was read back.
pub(crate) struct Trace {
    pub(crate) header: Value,
    pub(crate) events: Vec<Event>,
    pub(crate) footer: Value,
}

impl Trace {
    pub(crate) fn parse(text: &str) -> Result<Self, Failed> {
        let mut lines = text.lines();
        let header: Value = serde_json::from_str(lines.next().ok_or("the trace is empty")?)?;
        let mut lines: Vec<&str> = lines.collect();
        let footer: Value = serde_json::from_str(lines.pop().ok_or("the trace has no footer")?)?;
        if header["kind"] != "header" || footer["kind"] != "footer" {
            return Err("the trace does not begin with a header and end with a footer".into());
        }
        let is_event = |line: &&str| !line.starts_with("{\"kind\":\"summary\"");
        let events = lines.into_iter().filter(is_event).map(serde_json::from_str);
        let events = events.collect::<Result<_, _>>()?;
        Ok(Self { header, events, footer })
    }

    /// The state of a probe in the header.
    pub(crate) fn is_attached_to_function(&self, probe: &str) -> bool {
        self.header["probes"].as_array().is_some_and(|probes| {
            probes.iter().any(|state| {
                state["name"] == probe && (state["by"] == "fentry" || state["by"] == "kprobe")
            })
        })
    }
}

/// Whether every operation that a probe saw became something, or its end was not shown; of counts in a footer.
pub(crate) fn is_accounted(probe: &Value) -> bool {
    let count = |name: &str| probe[name].as_u64().unwrap_or(u64::MAX);
    let fates = ["filtered", "ignored", "counted", "emitted", "lost_ring", "lost_state"];
    let sum: u64 = fates.map(count).iter().sum();
    count("seen").checked_sub(sum).is_some_and(|without_end| without_end <= count("missed"))
}

/// Tells the person who looks on, on standard error: the verdicts have standard output.
pub(crate) fn note(text: &str) {
    // Nobody can be told when it is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Fails with this message unless the condition holds.
pub(crate) fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if condition { Ok(()) } else { Err(message().into()) }
}
