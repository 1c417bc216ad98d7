use std::{
    fmt::Write as _,
    fs::File,
    io::{Seek as _, Write as _},
    process,
};

use super::{AddressSpace, Devices, Error, Reader, VmaList, list, query};
use crate::model::vma::{Vma, VmaKind};

fn parse(text: &[u8]) -> (Vec<Vma>, u64, u64) {
    let mut devices = Devices::default();
    let mut reader = Reader::new(&mut devices, None);
    reader.read(text).unwrap();
    (reader.vmas, reader.torn, reader.unreadable)
}

#[test]
fn vmas_stay_in_order_when_the_process_moves_them() {
    let text = b"1000-3000 rw-p 00000000 00:00 0
2000-5000 r--p 00007000 08:01 7 /f
2000-4000 rw-p 00000000 00:00 0
5000-6000 rw-p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
6000-70";
    let (vmas, torn, unreadable) = parse(text);
    let ranges: Vec<_> = vmas.iter().map(|vma| (vma.start, vma.end, vma.offset)).collect();
    assert_eq!(ranges, [(0x1000, 0x3000, 0), (0x3000, 0x5000, 0x8000), (0x5000, 0x6000, 0)]);
    assert_eq!((torn, unreadable), (2, 1));
}

#[test]
fn a_hundred_thousand_vmas() {
    let mut text = String::new();
    for n in 0..100_000_u64 {
        let start = 0x1000_0000 + n * 0x2000;
        writeln!(text, "{start:08x}-{:08x} rw-p 00000000 00:00 {}", start + 0x1000, n % 2).unwrap();
    }
    let (vmas, torn, unreadable) = parse(text.as_bytes());
    assert_eq!((vmas.len(), torn, unreadable), (100_000, 0, 0));
    assert!(vmas.windows(2).all(|pair| pair[0].end < pair[1].start));
}

#[test]
fn this_process() {
    // Other tests map and unmap meanwhile, so some may be torn.
    let VmaList { vmas, unreadable, space, .. } = list(process::id(), true).unwrap();
    assert_eq!(unreadable, 0);
    assert!(space.is_alive());
    let kinds = |kind| vmas.iter().filter(|vma| vma.kind == kind).count();
    assert_eq!(kinds(VmaKind::Stack), 1);
    assert!(kinds(VmaKind::File) > 1 && kinds(VmaKind::Special) > 0);
    let own = std::env::current_exe().unwrap();
    let own = crate::escape::escape(own.as_os_str().as_encoded_bytes());
    let code = vmas.iter().find(|vma| vma.name == own && vma.permissions.execute).unwrap();
    assert!(code.flags.as_ref().is_some_and(|flags| flags.contains(&"ex".to_owned())));
}

#[test]
fn the_newline_in_a_name_is_told_from_its_escape() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a\nb", r"a\012b"];
    let mappings = names.map(|name| {
        let mut file = File::create_new(folder.path().join(name)).unwrap();
        file.write_all(&[1; 4096]).unwrap();
        file.rewind().unwrap();
        super::super::super::pagemap::fixture::Area::of_file(&file, 4096)
    });
    let vmas = list(process::id(), false).unwrap().vmas;
    let found = mappings.each_ref().map(|mapping| {
        let vma = vmas.iter().find(|vma| vma.start == mapping.start()).unwrap();
        vma.name.rsplit('/').next().unwrap().to_owned()
    });
    assert_eq!(found[0], r"a\x0ab");
    let space = AddressSpace::open(process::id()).unwrap();
    if query::at(&space.maps, mappings[1].start()).is_ok() {
        assert_eq!(found[1], r"a\\012b");
    } else {
        println!("skipped the ambiguous half: no PROCMAP_QUERY here");
    }
}

#[test]
fn no_process_and_no_address_space_are_errors() {
    assert!(matches!(list(u32::MAX, false), Err(Error::NoProcess { pid: u32::MAX })));
    // kthreadd, where this PID namespace has it.
    if std::fs::read("/proc/2/cmdline").is_ok_and(|text| text.is_empty()) {
        assert!(matches!(list(2, true), Err(Error::NoAddressSpace { pid: 2 })));
    }
}

#[test]
fn an_ended_process_is_noticed() {
    let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
    let list = list(child.id(), false).unwrap();
    assert!(list.space().is_alive());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!list.space().is_alive());
}
