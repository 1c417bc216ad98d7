//! From a line of `maps` to a VMA.

use super::{
    devices::{Devices, Storage},
    text::{Line, decode_newlines, has_newline},
};
use crate::{
    escape::escape,
    model::vma::{Permissions, Vma, VmaKind},
};

/// The VMA of a line; the flags stay unknown.
pub(crate) fn vma(line: &Line<'_>, devices: &Devices) -> Vma {
    let [r, w, x, p] = line.permissions;
    let shared = p == b's';
    Vma {
        start: line.start,
        end: line.end,
        permissions: Permissions { read: r == b'r', write: w == b'w', execute: x == b'x', shared },
        kind: kind(line, devices),
        name: name(line.name),
        offset: line.offset,
        flags: None,
    }
}

/// Text for a name as `maps` writes it.
fn name(bytes: &[u8]) -> String {
    // Most names need nothing; this way takes a tenth of the time.
    if bytes.iter().all(|&b| matches!(b, b' '..=b'~') && b != b'\\') {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    if has_newline(bytes) { escape(&decode_newlines(bytes)) } else { escape(bytes) }
}

fn kind(line: &Line<'_>, devices: &Devices) -> VmaKind {
    if line.has_file() {
        return of_file(line, devices.get(line.device).unwrap_or_else(|| by_name(line.name)));
    }
    match line.name {
        b"" => VmaKind::Anonymous,
        b"[heap]" => VmaKind::Heap,
        name if name == b"[stack]" || name.starts_with(b"[stack:") => VmaKind::Stack,
        name if name.starts_with(b"[anon:") => VmaKind::Anonymous,
        _ => VmaKind::Special,
    }
}

fn of_file(line: &Line<'_>, storage: Storage) -> VmaKind {
    match storage {
        Storage::Hugetlb(size) => VmaKind::Hugetlb(size),
        // drivers/char/mem.c, `mmap_zero`: a private mapping becomes anonymous and keeps the name.
        _ if line.name == b"/dev/zero" && line.permissions[3] == b'p' => VmaKind::Anonymous,
        Storage::Shmem => VmaKind::Shmem,
        Storage::Dev if line.name.starts_with(b"/dev/shm/") => VmaKind::Shmem,
        Storage::Dev | Storage::File => VmaKind::File,
    }
}

/// What a file is when its device says nothing: the names of the kernel's own tmpfs.
pub(crate) fn by_name(name: &[u8]) -> Storage {
    let deleted = name.ends_with(b" (deleted)");
    let internal = name.starts_with(b"/memfd:")
        || name.starts_with(b"/SYSV")
        || name == b"/dev/zero (deleted)";
    if deleted && internal || name.starts_with(b"[anon_shmem:") {
        Storage::Shmem
    } else {
        Storage::File
    }
}

#[cfg(test)]
mod tests {
    use super::{super::devices::Devices, vma};
    use crate::{
        kernel::vmas::text::line,
        model::{leaf::LeafSize, vma::VmaKind},
    };

    const MOUNTINFO: &[u8] = b"1 1 0:4096 / /dev rw - devtmpfs d rw
2 1 0:4097 / /t rw - tmpfs t rw
3 1 0:4098 / /h rw - hugetlbfs h rw,pagesize=2M
4 1 0:4099 / / rw - ext4 e rw";

    #[test]
    fn kinds() {
        let devices = Devices::new(MOUNTINFO);
        let huge = VmaKind::Hugetlb(LeafSize::PMD);
        for (text, kind) in [
            ("rw-p 0 00:00 0", VmaKind::Anonymous),
            ("rw-p 0 00:00 0 [heap]", VmaKind::Heap),
            ("rw-p 0 00:00 0 [stack]", VmaKind::Stack),
            ("rw-p 0 00:00 0 [stack:77]", VmaKind::Stack),
            ("rw-p 0 00:00 0 [anon:[heap]]", VmaKind::Anonymous),
            ("r-xp 0 00:00 0 [vdso]", VmaKind::Special),
            ("r--p 0 00:00 0 [vvar_vclock]", VmaKind::Special),
            ("--xp 0 00:00 0 [uprobes]", VmaKind::Special),
            ("rw-p 0 1000:00 7 /dev/fuse", VmaKind::File),
            ("rw-s 0 00:1000 7 /dev/mem", VmaKind::File),
            ("rw-p 0 00:1000 7 /dev/zero", VmaKind::Anonymous),
            ("rw-s 0 00:1000 7 /dev/shm/x", VmaKind::Shmem),
            ("rw-s 0 00:1001 7 /t/[heap]", VmaKind::Shmem),
            ("rw-s 0 00:1001 7 [anon_shmem:x]", VmaKind::Shmem),
            ("rw-s 0 00:1002 7 /h/file (deleted)", huge),
            ("rw-s 0 00:1002 7 /memfd:x (deleted)", huge),
            ("r--p 0 00:1003 7 /anon_hugepage (deleted)", VmaKind::File),
            ("rw-s 0 00:2000 7 /dev/zero (deleted)", VmaKind::Shmem),
            ("rw-s 0 00:2000 7 /SYSV00000000 (deleted)", VmaKind::Shmem),
            ("rw-s 0 00:2000 7 anon_inode:[perf_event]", VmaKind::File),
        ] {
            let text = format!("1000-2000 {text}");
            assert_eq!(vma(&line(text.as_bytes()).unwrap(), &devices).kind, kind, "{text}");
        }
    }

    #[test]
    fn hostile_names_are_harmless() {
        let devices = Devices::default();
        let name = |text: &[u8]| {
            let text = [b"1000-2000 rw-p 0 08:01 7        ", text].concat();
            vma(&line(&text).unwrap(), &devices).name
        };
        assert_eq!(name(b"/plain name (deleted)"), "/plain name (deleted)");
        assert_eq!(name(b"/a\\012b"), "/a\\x0ab");
        assert_eq!(name(b"/a\\040b"), "/a\\\\040b");
        assert_eq!(name(b"/\x1b[2J\xff"), "/\\x1b[2J\\xff");
        assert_eq!(name("/\u{202e}ä".as_bytes()), "/\\u{202e}ä");
    }
}
