//! `cargo xtask top`: a live `walkprobe top`, on this kernel or in a guest with a demo load.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use probe_lab::fetch::series;
use probe_lab::{Input, Streams};

use crate::context::Context;
use crate::guest::{self, Lab};
use crate::{build, say};

/// Text instead of a screen, where nobody looks at one.
const BATCH: &str = "walkprobe top --batch -n 3";
const SCREEN: &str = "walkprobe top";

/// Opens `top` where it can show everything.
pub(crate) fn run(cx: &Context) -> Result<ExitCode> {
    let walkprobe = build::walkprobe(cx)?;
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let top = if is_terminal { SCREEN } else { BATCH };
    let Some(reason) = why_not_here(&walkprobe)? else {
        say::note("walkprobe top runs on this kernel: it can do everything here");
        let status = Command::new(&walkprobe).args(top.split(' ').skip(1)).status();
        let status = status.with_context(|| format!("cannot start {}", walkprobe.display()))?;
        return Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1).into());
    };
    let series = series::NEWEST_DEFAULT;
    let lab = Lab::open(cx)?;
    let kernel = guest::choose(cx, series)?;
    let accelerator = lab.accelerator(&kernel)?;
    say::note(format_args!(
        "walkprobe top runs in a guest with kernel {series} and a demo load: {reason}"
    ));
    let script = format!("walkprobe workload demo >/dev/null 2>&1 & exec {top}");
    let command = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let mut machine = lab.machine(&kernel, accelerator, command);
    guest::with_huge_pages(&mut machine);
    let streams = Streams {
        input: if is_terminal { Input::Standard } else { Input::None },
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
    };
    Ok(guest::exit_code(lab.boot(&machine, streams)))
}

/// Asks `walkprobe doctor`; none when this kernel can do everything.
fn why_not_here(walkprobe: &Path) -> Result<Option<String>> {
    let status = Command::new(walkprobe)
        .arg("doctor")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", walkprobe.display()))?;
    Ok(reason(status.code(), rustix::process::geteuid().is_root()))
}

fn reason(doctor: Option<i32>, is_root: bool) -> Option<String> {
    let cure = if is_root { "" } else { ", and you are not root" };
    match doctor {
        Some(0) => None,
        Some(3) => Some(format!(
            "this kernel allows only a part of it{cure} (`walkprobe doctor` says which)"
        )),
        Some(4) => {
            Some(format!("this kernel allows nothing of it{cure} (`walkprobe doctor` says why)"))
        }
        _ => Some("`walkprobe doctor` could not tell what this kernel allows".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_verdict_stays_here() {
        assert_eq!(reason(Some(0), false), None);
        assert!(reason(Some(3), false).is_some_and(|reason| reason.contains("not root")));
        assert!(reason(Some(4), true).is_some_and(|reason| !reason.contains("not root")));
        assert!(reason(None, true).is_some());
    }
}
