//! The guest's whole file system: a cpio archive that the kernel unpacks into memory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cpio::NewcBuilder;
use cpio::newc::ModeFileType;

use crate::host::error::Error;
use crate::host::modules::Modules;
use crate::machine::{Machine, Terminal};
use crate::protocol::{DETERMINISTIC, INIT, MODULES, ORDERS, PROGRAM, encode_fields};

/// Drives the fast channel to the host where it is not part of the kernel's image.
const CHANNEL_MODULES: [&str; 2] = ["virtio_pci", "virtio_console"];

/// Writes the archive for a machine.
pub(crate) fn write(
    machine: &Machine,
    terminal: Option<Terminal>,
    path: &Path,
) -> Result<(), Error> {
    let file = File::create(path).map_err(Error::file("create", path))?;
    let mut archive =
        Archive { out: BufWriter::with_capacity(1 << 20, file), folders: BTreeSet::new(), next: 1 };
    let written = Error::file("write", path);
    let program = fs::read(&machine.walkprobe).map_err(Error::file("read", &machine.walkprobe))?;
    let orders = orders(machine, terminal);
    archive
        .file(Path::new(PROGRAM), 0o755, &program)
        .and_then(|()| archive.link(Path::new(INIT), Path::new(PROGRAM)))
        .and_then(|()| archive.file(Path::new(ORDERS), 0o600, &orders))
        .and_then(|()| {
            archive.file(Path::new("/etc/passwd"), 0o644, b"root::0:0:root:/root:/bin/sh\n")
        })
        .and_then(|()| archive.file(Path::new("/etc/group"), 0o644, b"root:x:0:\n"))
        .map_err(written)?;
    for folder in ["bin", "dev", "proc", "root", "run", "sys", "tmp"] {
        archive.folder(&Path::new("/").join(folder)).map_err(Error::file("write", path))?;
    }
    if let Some(busybox) = &machine.busybox {
        archive.busybox(busybox)?;
    }
    archive.modules(machine)?;
    for added in &machine.add {
        archive.add(&added.source, &added.destination)?;
    }
    archive.finish().map_err(Error::file("write", path))
}

/// What the guest's init is to do: the terminal, the environment, the command.
fn orders(machine: &Machine, terminal: Option<Terminal>) -> Vec<u8> {
    let terminal =
        terminal.map_or_else(String::new, |size| format!("{} {}", size.rows, size.columns));
    let mode = if machine.deterministic { DETERMINISTIC } else { "" };
    let variables: Vec<String> =
        machine.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (count, copies) = (variables.len().to_string(), machine.copy_out.len().to_string());
    let fields = [terminal.as_str(), mode, count.as_str()]
        .into_iter()
        .chain(variables.iter().map(String::as_str))
        .chain([copies.as_str()])
        .chain(machine.copy_out.iter().map(|file| file.source.as_str()))
        .chain(machine.command.iter().map(String::as_str));
    encode_fields(fields.map(str::as_bytes))
}

struct Archive {
    out: BufWriter<File>,
    folders: BTreeSet<PathBuf>,
    next: u32,
}

impl Archive {
    /// A file and the folders above it.
    fn file(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, mode, ModeFileType::Regular, bytes)
    }

    fn folder(&mut self, path: &Path) -> io::Result<()> {
        self.parents(path)?;
        if self.folders.insert(path.to_owned()) {
            self.entry(path, 0o755, ModeFileType::Directory, &[])?;
        }
        Ok(())
    }

    fn link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, 0o777, ModeFileType::Symlink, target.as_os_str().as_bytes())
    }

    fn parents(&mut self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if parent != Path::new("/") => self.folder(parent),
            _ => Ok(()),
        }
    }

    fn entry(
        &mut self,
        path: &Path,
        mode: u32,
        kind: ModeFileType,
        bytes: &[u8],
    ) -> io::Result<()> {
        let name = path.strip_prefix("/").unwrap_or(path);
        let name =
            name.to_str().ok_or_else(|| io::Error::other("a file name that is not UTF-8"))?;
        let size =
            u32::try_from(bytes.len()).map_err(|_| io::Error::other("a file of 4 GiB or more"))?;
        let mut writer = NewcBuilder::new(name)
            .ino(self.next)
            .mode(mode)
            .set_mode_file_type(kind)
            .write(&mut self.out, size);
        self.next += 1;
        writer.write_all(bytes)?;
        writer.finish()?;
        Ok(())
    }

    /// A file, link or folder of this machine with all that is in it.
    fn add(&mut self, source: &Path, destination: &Path) -> Result<(), Error> {
        let read = |error| Error::file("read", source)(error);
        let metadata = fs::metadata(source).map_err(read)?;
        if metadata.is_dir() {
            self.folder(destination).map_err(Error::file("pack", source))?;
            let entries: io::Result<Vec<_>> = fs::read_dir(source).map_err(read)?.collect();
            let mut entries = entries.map_err(read)?;
            // The order in which a file system lists them is its own.
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                self.add(&entry.path(), &destination.join(entry.file_name()))?;
            }
            return Ok(());
        }
        let bytes = fs::read(source).map_err(read)?;
        self.file(destination, metadata.permissions().mode() & 0o7777, &bytes)
            .map_err(Error::file("pack", source))
    }

    /// Busybox under all of its names that nothing else claims.
    fn busybox(&mut self, busybox: &Path) -> Result<(), Error> {
        self.add(busybox, Path::new("/bin/busybox"))?;
        let list = Command::new(busybox).arg("--list").output();
        let list = list.map_err(Error::file("run", busybox))?.stdout;
        for applet in String::from_utf8_lossy(&list).lines().filter(|name| *name != "busybox") {
            self.link(&Path::new("/bin").join(applet), Path::new("busybox"))
                .map_err(Error::file("pack", busybox))?;
        }
        Ok(())
    }

    /// The modules to load, named so that their order is that of loading.
    fn modules(&mut self, machine: &Machine) -> Result<(), Error> {
        let Some(folder) = &machine.modules else {
            return match machine.load.first() {
                Some(name) => Err(Error::NoModule(name.clone())),
                None => Ok(()),
            };
        };
        let modules = Modules::index(folder)?;
        let channel = CHANNEL_MODULES.into_iter().filter(|name| modules.has(name));
        let names: Vec<String> =
            channel.map(str::to_owned).chain(machine.load.iter().cloned()).collect();
        for (number, module) in modules.load_order(&names)?.into_iter().enumerate() {
            let path = Path::new(MODULES).join(format!("{number:03}-{}.ko", module.name));
            self.file(&path, 0o644, &module.image).map_err(Error::file("pack", folder))?;
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        cpio::newc::trailer(self.out)?.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::decode_fields;

    #[test]
    fn the_order_in_which_files_were_made_does_not_matter() -> Result<(), Error> {
        let archive = |names: [&str; 3]| {
            let folder = tempfile::tempdir().expect("a folder");
            let file = |name: &str| folder.path().join(name);
            fs::create_dir(file("added")).expect("a folder");
            for name in names {
                fs::write(file("added").join(name), name).expect("is written");
            }
            fs::write(file("program"), "").expect("is written");
            let mut machine =
                Machine::new("/k".into(), file("program"), "/log".into(), vec!["true".into()]);
            let added = file("added").display().to_string() + ":/root/added";
            machine.add.extend(added.parse());
            write(&machine, None, &file("initramfs"))?;
            Ok::<_, Error>(fs::read(file("initramfs")).expect("is there"))
        };
        let one = archive(["a", "b", "c"])?;
        assert!(one.windows(12).any(|bytes| bytes == b"root/added/c"));
        assert!(one == archive(["c", "b", "a"])?);
        Ok(())
    }

    #[test]
    fn orders_keep_every_word_apart() {
        let mut machine =
            Machine::new("/k".into(), "/i".into(), "/log".into(), vec!["sh".into(), "a b".into()]);
        machine.environment.push(("A".into(), "1 2".into()));
        machine.copy_out.extend("/f".parse());
        let bytes = orders(&machine, Some(Terminal { rows: 24, columns: 80 }));
        let fields = decode_fields(&bytes).expect("is well formed");
        assert_eq!(fields, [b"24 80".as_slice(), b"", b"1", b"A=1 2", b"1", b"/f", b"sh", b"a b"]);
    }
}
