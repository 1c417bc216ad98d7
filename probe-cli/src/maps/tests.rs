//! Every view of the same sets.

use super::{
    Look,
    csv::Csv,
    diff, json, runs,
    svg::Picture,
    table::{self, Options, Sort},
    totals, write_heading,
};
use crate::{
    model::{
        fixture::{self, named, run, set_of, vma},
        leaf::{LeafKind, LeafSize, Marks, Run},
        set::TranslationSet,
        vma::VmaKind,
    },
    text::HOSTILE,
};

fn table(set: &TranslationSet, options: Options, look: Look) -> String {
    let mut out = Vec::new();
    write_heading(set, look, &mut out).unwrap();
    let statistics = table::write(set, options, look, &mut out).unwrap();
    assert_eq!(statistics, set.statistics());
    totals::write(set, &statistics, look, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn hostile() -> TranslationSet {
    let vmas = (1..).zip(HOSTILE);
    set_of(vmas.map(|(i, name)| {
        let start = i << 30;
        let kind = VmaKind::File;
        let leaves = vec![run(start, LeafSize::PMD, 1, LeafKind::Present)];
        (named(start..start + (4 << 20), kind, name), leaves)
    }))
}

fn marked() -> TranslationSet {
    let marks = Some(Marks { young: 3, dirty: 2, writable: 4, ..Marks::default() });
    let run = Run { marks, ..run(0x10000, LeafSize::BASE, 4, LeafKind::Present) };
    set_of([(vma(0x10000..0x20000), vec![run])])
}

#[test]
fn the_table() {
    insta::assert_snapshot!(table(&fixture::set(), Options::default(), Look::PLAIN));
}

#[test]
fn the_table_in_colour_and_in_ascii() {
    let options = Options { sort: Sort::Rss, no_holes: true };
    let look = Look { ascii: true, color: true, width: Some(200) };
    let text = table(&fixture::set(), options, look);
    assert!(text.is_ascii() || text.contains('表'), "only names are not ASCII");
    insta::assert_snapshot!(text.replace('\x1b', "␛"));
}

#[test]
fn marks_have_columns() {
    insta::assert_snapshot!(table(&marked(), Options::default(), Look::PLAIN));
    insta::assert_snapshot!(text(|out| runs::write(&marked(), false, Look::PLAIN, out)));
}

#[test]
fn hostile_names_stay_in_their_line() {
    let text = table(&hostile(), Options::default(), Look::PLAIN);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_is_shown_as_nothing() {
    insta::assert_snapshot!(table(&set_of([]), Options::default(), Look::PLAIN));
}

#[test]
fn lines_are_sorted() {
    for sort in [Sort::Size, Sort::Rss, Sort::Coverage, Sort::Runs, Sort::Name] {
        let text = table(&fixture::set(), Options { sort, no_holes: false }, Look::PLAIN);
        let first = text.lines().nth(2).unwrap();
        let expected = match sort {
            Sort::Size | Sort::Rss => "7f4000000000-",
            Sort::Coverage => "5555400000-",
            Sort::Runs | Sort::Address | Sort::Name => "7f0000000000-",
        };
        assert!(first.starts_with(expected), "{sort:?}: {first}");
    }
}

#[test]
fn every_run() {
    insta::assert_snapshot!(text(|out| runs::write(&fixture::set(), true, Look::PLAIN, out)));
}

#[test]
fn comma_separated() {
    let mut out = Vec::new();
    let mut csv = Csv::new(&mut out, true).unwrap();
    csv.write(&fixture::set()).unwrap();
    csv.write(&marked()).unwrap();
    drop(csv);
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn a_picture() {
    let picture = || {
        let mut picture = Picture::default();
        picture.add(&fixture::set());
        picture.add(&marked());
        text(|out| picture.write(out))
    };
    assert_eq!(picture(), picture());
    insta::assert_snapshot!(picture());
}

#[test]
fn names_in_a_picture_mean_nothing_to_xml() {
    let name = "</text><script>alert('1')</script>&\u{ffff}\u{1}";
    let mut picture = Picture::default();
    picture.add(&set_of([(named(0..4096, VmaKind::File, name), vec![])]));
    picture.add(&hostile());
    let text = text(|out| picture.write(out));
    assert!(text.contains("&lt;/text&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;"));
    assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{ffff}'));
    assert_eq!(text.matches('<').count(), text.matches('>').count());
}

#[test]
fn json_and_back() {
    for set in [fixture::set(), marked(), set_of([])] {
        for no_holes in [false, true] {
            let text = text(|out| json::write(&set, no_holes, out));
            assert_eq!(json::read(&text).unwrap(), std::slice::from_ref(&set));
        }
    }
    let text = text(|out| json::write(&fixture::set(), true, out));
    let pretty: serde_json::Value = serde_json::from_str(&text).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&pretty).unwrap());
}

#[test]
fn damaged_json_is_an_error() {
    let good = text(|out| json::write(&fixture::set(), false, out));
    let message = |text: &str| json::read(text).unwrap_err().to_string();
    let errors =
        [
            message(""),
            message("{"),
            message("[1]"),
            message("{\"format\":2,\"vmas\":7}"),
            message("{\"format\":1,\"vmas\":[]}"),
            message(&good.replace("\"end\":\"0x5555480000\"", "\"end\":\"0x5555400000\"")),
            message(&good.replace("\"count\":8,", "\"count\":18446744073709551615,")),
            message(&good.replace("\"count\":8,", "\"count\":0,")),
            message(&good.replace("\"count\":8,", "\"count\":9,")),
            message(&good.replace("\"start\":\"0x5555408000\"", "\"start\":\"0x5555408001\"")),
            message(&good.replace("\"size\":2097152", "\"size\":2097153")),
            message(&good.replace("\"folio_order\":9", "\"folio_order\":255")),
            message(&good.replace(
                "\"start\":\"0x5556000000\",\"end\"",
                "\"start\":\"0x5555401000\",\"end\"",
            )),
            message(&"[".repeat(1 << 20)),
        ];
    insta::assert_snapshot!(errors.join("\n"));
    // Cut anywhere, it is an error and no panic.
    for end in (0..good.len()).filter(|&end| good.is_char_boundary(end)).step_by(97) {
        assert!(json::read(&good[..end]).is_err());
    }
}

#[test]
fn text_in_json_is_made_harmless() {
    let text = text(|out| json::write(&hostile(), false, out));
    let sets = json::read(&text).unwrap();
    for (vma, name) in sets[0].vmas().zip(HOSTILE) {
        assert!(!vma.name.contains(char::is_control), "{:?}", vma.name);
        if !name.contains(|c: char| c.is_control() || c == '\u{200d}') {
            assert_eq!(vma.name, name);
        }
    }
}

#[test]
fn differences() {
    let before = fixture::set();
    let split = [
        run(0x7f00_0000_0000, LeafSize::PMD, 7, LeafKind::Present),
        run(0x7f00_00e0_0000, LeafSize::BASE, 512, LeafKind::Present),
    ];
    let after = set_of([
        (named(0x55_5600_0000..0x55_5900_0000, VmaKind::Heap, "[heap]"), vec![]),
        (vma(0x7f00_0000_0000..0x7f00_0200_0000), split.to_vec()),
        (vma(0x7f20_0000_0000..0x7f20_0000_2000), vec![]),
    ]);
    insta::assert_snapshot!(text(|out| diff::write(&before, &after, Look::PLAIN, out)));
    let same = text(|out| diff::write(&before, &before, Look::PLAIN, out));
    assert_eq!(same, "process 4242 (postgres)\nno leaf changed its size or kind\n");
}

#[test]
fn ten_thousand_vmas() {
    let set = set_of((0..10_000_u64).map(|i| {
        let start = i << 21;
        let kinds = [LeafKind::Present, LeafKind::Swap, LeafKind::Zero];
        let runs =
            (0..3).zip(kinds).map(|(j, kind)| run(start + j * 8192, LeafSize::BASE, 1, kind));
        (vma(start..start + (1 << 20)), runs.collect())
    }));
    assert_eq!(set.iter().count(), 60_000);
    assert_eq!(table(&set, Options::default(), Look::PLAIN).lines().count(), 10_000 + 8);
    let text = text(|out| json::write(&set, false, out));
    assert_eq!(json::read(&text).unwrap(), [set]);
}
