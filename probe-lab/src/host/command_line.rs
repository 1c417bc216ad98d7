//! From a description of a machine to QEMU's command line: no process, no file.

use std::ffi::OsString;
use std::path::Path;

use crate::host::accel::Accelerator;
use crate::host::deterministic;
use crate::machine::Machine;
use crate::protocol::PORT;

/// Where QEMU finds what was made for one run.
#[derive(Debug, Clone, Copy)]
pub struct Channels<'a> {
    /// The initramfs.
    pub initramfs: &'a Path,
    /// The socket of the virtio port.
    pub port: &'a Path,
    /// The socket of the serial port that is used when the kernel has no virtio.
    pub serial: &'a Path,
}

/// QEMU's options.
#[must_use]
pub fn command_line(machine: &Machine, channels: &Channels) -> Vec<OsString> {
    let mut options = Options(Vec::new());
    options.flag("-nodefaults");
    options.flag("-no-user-config");
    options.flag("-no-reboot");
    options.option("-display", "none");
    options.option("-machine", "q35");
    if machine.deterministic {
        options.0.extend(deterministic::OPTIONS.map(OsString::from));
    } else {
        options.option("-accel", accelerator(machine.accelerator));
        options.option("-cpu", "max");
        options.option("-smp", machine.cpus.to_string());
    }
    options.option("-m", &machine.memory);
    options.option("-kernel", &machine.kernel);
    options.option("-initrd", channels.initramfs);
    let mut append = kernel_command_line(&machine.append);
    if machine.deterministic {
        append = format!("{append} {}", deterministic::KERNEL);
    }
    options.option("-append", append);
    options.option("-chardev", chardev("file,id=log", &machine.kernel_log));
    options.option("-serial", "chardev:log");
    options.option("-chardev", chardev("socket,id=serial", channels.serial));
    options.option("-serial", "chardev:serial");
    options.option("-chardev", chardev("socket,id=port", channels.port));
    let at_once = if machine.deterministic { deterministic::CHANNEL } else { "" };
    options.option("-device", format!("virtio-serial-pci,max_ports=2{at_once}"));
    options.option("-device", format!("virtserialport,chardev=port,name={PORT}"));
    options.0.extend(machine.qemu_options.iter().map(OsString::from));
    options.0
}

/// The kernel's command line: 64 huge pages of 2 MiB unless the caller says how many.
pub(crate) fn kernel_command_line(append: &str) -> String {
    // An emulator on a busy machine is too late for the kernel's test of the timer, which then panics
    // (`check_timer`, arch/x86/kernel/apic/io_apic.c).
    // A kernel that only kills the thread in which it went wrong leaves others waiting for its locks for ever.
    let mut line = String::from("console=ttyS0 panic=-1 oops=panic no_timer_check");
    if !append.contains("hugepages=") {
        line.push_str(" hugepagesz=2M hugepages=64");
    }
    if !append.is_empty() {
        line.push(' ');
        line.push_str(append);
    }
    line
}

/// QEMU's name of an accelerator.
pub(crate) fn accelerator(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "kvm",
        // One thread for all processors. With one thread each, a processor can run a translation of
        // code that another one has patched meanwhile: kernel 7.2 then met an int3 that was no longer
        // there, in a trampoline that was being detached, and panicked (seen once, QEMU 7.2.22).
        Accelerator::Tcg => "tcg,thread=single",
    }
}

/// A character device with a path; QEMU wants a comma in a path doubled.
fn chardev(kind: &str, path: &Path) -> String {
    format!("{kind},path={}", path.display().to_string().replace(',', ",,"))
}

struct Options(Vec<OsString>);

impl Options {
    fn flag(&mut self, name: &str) {
        self.0.push(name.into());
    }

    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push(name.into());
        self.0.push(value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(machine: &Machine) -> Vec<String> {
        let channels =
            Channels { initramfs: Path::new("/i"), port: Path::new("/p"), serial: Path::new("/s") };
        let line = command_line(machine, &channels);
        line.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    fn value<'a>(options: &'a [String], name: &str) -> &'a str {
        let at = options.iter().position(|word| word == name).expect("the option is there");
        &options[at + 1]
    }

    #[test]
    fn a_machine_becomes_options() {
        let mut machine =
            Machine::new("/k".into(), "/walkprobe".into(), "/a,b/log".into(), vec!["true".into()]);
        machine.memory = "4G".into();
        machine.cpus = 3;
        machine.append = "nokaslr".into();
        let options = options(&machine);
        assert_eq!(value(&options, "-kernel"), "/k");
        assert_eq!(value(&options, "-m"), "4G");
        assert_eq!(value(&options, "-smp"), "3");
        assert_eq!(value(&options, "-accel"), "tcg,thread=single");
        assert_eq!(value(&options, "-chardev"), "file,id=log,path=/a,,b/log");
        assert!(value(&options, "-append").ends_with("hugepages=64 nokaslr"));
    }

    #[test]
    fn a_deterministic_machine_counts_instructions_on_one_processor() {
        let mut machine = Machine::new("/k".into(), "/walkprobe".into(), "/log".into(), Vec::new());
        machine.environment.push(("TERM".into(), "xterm".into()));
        machine.append = "a=1".into();
        machine.make_deterministic();
        let options = options(&machine);
        assert_eq!(value(&options, "-icount"), "shift=0,sleep=off");
        assert_eq!(value(&options, "-smp"), "1");
        assert_eq!(options.iter().filter(|word| *word == "-cpu").count(), 1);
        assert_eq!(value(&options, "-device"), "virtio-serial-pci,max_ports=2,ioeventfd=off");
        assert!(value(&options, "-append").contains(" a=1 nokaslr "));
        assert_eq!(machine.environment, []);
    }

    #[test]
    fn the_kernels_log_is_on_the_first_serial_port() {
        let options =
            options(&Machine::new("/k".into(), "/walkprobe".into(), "/log".into(), Vec::new()));
        assert_eq!(value(&options, "-serial"), "chardev:log");
        assert!(value(&options, "-append").starts_with("console=ttyS0 "));
    }

    #[test]
    fn huge_pages_are_not_set_twice() {
        let line = kernel_command_line("hugepagesz=2M hugepages=3");
        assert_eq!(line.matches("hugepages=").count(), 1);
    }
}
