//! The functions that walkprobe attaches to, by its own account, and whether they are attached to now.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::watchers;

/// The functions of the kernel that something is attached to (kernel/trace/ftrace.c, `t_show`).
const ENABLED: &str = "/sys/kernel/tracing/enabled_functions";

/// Attaching waits for every CPU, function by function.
const PATIENCE: Duration = Duration::from_mins(5);

/// Kernel functions, each with how walkprobe attaches to it here.
pub(crate) struct Functions {
    /// `fentry` or `kprobe`, and the function's name.
    pub(crate) all: Vec<(String, String)>,
}

impl Functions {
    /// Asks `walkprobe doctor`, which attaches to everything that `top -p` attaches to.
    pub(crate) fn of_walkprobe() -> Result<Self> {
        let [program, first @ ..] = &watchers::walkprobe()?[..] else { bail!("no walkprobe") };
        let output = Command::new(program).args(first).args(["doctor", "--json"]).output()?;
        let diagnosis: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("doctor: {}", String::from_utf8_lossy(&output.stderr)))?;
        let probes = diagnosis["report"]["probes"].as_array().context("doctor tells no probes")?;
        let all: Vec<(String, String)> = probes.iter().filter_map(function).collect();
        if all.is_empty() {
            bail!("walkprobe attaches to no function on this kernel");
        }
        Ok(Self { all })
    }

    /// Waits until something is attached to each of them, or to none of them.
    pub(crate) fn wait(&self, attached: bool) -> Result<()> {
        let start = Instant::now();
        loop {
            let enabled = enabled()?;
            let is_enabled = |name: &String| enabled.iter().any(|line| line == name);
            let Some((_, name)) = self.all.iter().find(|(_, name)| is_enabled(name) != attached)
            else {
                return Ok(());
            };
            if start.elapsed() > PATIENCE {
                let what = if attached { "nothing is" } else { "something is still" };
                bail!("{what} attached to {name}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What is attached for one logical probe, when it is a function.
fn function(probe: &Value) -> Option<(String, String)> {
    let candidate = &probe["candidates"][usize::try_from(probe["attached"].as_u64()?).ok()?];
    let mechanism = candidate["mechanism"].as_str()?;
    let name = candidate["targets"][0].as_str()?;
    matches!(mechanism, "fentry" | "kprobe").then(|| (mechanism.to_owned(), name.to_owned()))
}

fn enabled() -> Result<Vec<String>> {
    mount()?;
    let text = fs::read_to_string(ENABLED).with_context(|| format!("cannot read {ENABLED}"))?;
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

/// Mounts tracefs, unless it is there.
pub(crate) fn mount() -> Result<()> {
    let folder = Path::new(ENABLED).parent().unwrap_or(Path::new("/"));
    if !Path::new(ENABLED).exists() {
        rustix::mount::mount(
            "tracefs",
            folder,
            "tracefs",
            rustix::mount::MountFlags::empty(),
            None,
        )
        .context("cannot mount tracefs")?;
    }
    Ok(())
}
