//! What executes a guest's instructions.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::host::error::Error;
use crate::host::process::Running;
use crate::host::qemu::Qemu;

/// How QEMU executes a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Software emulation: works everywhere.
    Tcg,
}

/// A working KVM needs about a second for the trial; one that does not stops at once or never gets anywhere.
const TRIAL: Duration = Duration::from_secs(8);

/// Whether KVM boots a kernel here.
///
/// A device node proves nothing: some clouds have one whose guests fail at the first instruction that it does not
/// know. So the kernel is booted without a root, up to its panic about that.
///
/// # Errors
///
/// QEMU cannot be started, or the trial's log cannot be made.
pub fn kvm_works(qemu: &Qemu, kernel: &Path) -> Result<bool, Error> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    if device.is_err() {
        return Ok(false);
    }
    let log =
        tempfile::NamedTempFile::new().map_err(Error::file("create", std::env::temp_dir()))?;
    let complaints =
        tempfile::NamedTempFile::new().map_err(Error::file("create", std::env::temp_dir()))?;
    let mut command = qemu.command();
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-machine",
            "q35",
        ])
        .args(["-accel", "kvm", "-cpu", "max", "-smp", "2", "-m", "512M", "-kernel"])
        .arg(kernel)
        .args(["-append", "console=ttyS0 panic=-1", "-serial"])
        .arg(format!("file:{}", log.path().display()))
        .stderr(complaints.reopen().map_err(Error::file("open", complaints.path()))?);
    let mut running = Running::start(command, qemu.binary())?;
    let start = Instant::now();
    while start.elapsed() < TRIAL && !running.has_ended() {
        // An emulation failure stops the guest, not QEMU.
        if fs::read_to_string(complaints.path())
            .is_ok_and(|said| said.contains("KVM internal error"))
        {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(fs::read(log.path())
        .is_ok_and(|text| String::from_utf8_lossy(&text).contains("Kernel panic")))
}
