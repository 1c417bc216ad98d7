//! Names that a process chooses: in no form of `walkprobe maps` they are more than text.

use std::fs;

use libtest_mimic::{Failed, Trial};
use walkprobe::{escape::escape, maps::json};

use crate::{
    child::Actor,
    roles::{HOSTILE_COMM, HOSTILE_FILE},
    run::{ensure, run, scratch, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("names::are_text_in_every_form", are_text_in_every_form)]
}

fn are_text_in_every_form() -> Result<(), Failed> {
    let mut actor = Actor::new("names")?;
    let start: u64 = actor.words()?.get(1).ok_or("no address")?.parse()?;
    let pid = actor.pid().to_string();
    let (comm, file) = (escape(HOSTILE_COMM), escape(HOSTILE_FILE));
    for form in ["--runs", "--json", "--csv", "--sort=address"] {
        let ended = run(walkprobe().args(["maps", form, &pid]))?;
        ensure(ended.code() == Some(0), || format!("{form}: {}", ended.stderr))?;
        harmless(&ended.stdout).map_err(|what| format!("{form}: {what:?}"))?;
        match form {
            "--json" => {
                let set = json::read(&ended.stdout)?.remove(0);
                let vma = set.vmas().find(|vma| vma.start == start).ok_or("no VMA")?;
                let right = set.origin().comm == comm && vma.name.contains(&file);
                ensure(right, || format!("{:?} {:?}", set.origin().comm, vma.name))?;
            }
            "--csv" => {
                let mut reader = csv::Reader::from_reader(ended.stdout.as_bytes());
                let mut found = false;
                for record in reader.records() {
                    found |= record?[5].contains(&file);
                }
                ensure(found, || ended.stdout)?;
            }
            _ => ensure(ended.stdout.contains(&comm), || ended.stdout)?,
        }
    }
    let path = scratch("names.svg");
    let ended = run(walkprobe().args(["maps", &pid, "--svg"]).arg(&path))?;
    let svg = fs::read_to_string(&path)?;
    fs::remove_file(&path)?;
    ensure(ended.code() == Some(0), || ended.stderr)?;
    harmless(&svg)?;
    let document = roxmltree::Document::parse(&svg)?;
    let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
    let has = |name: &str| texts.iter().any(|text| text.contains(name));
    ensure(has(&comm) && has(&file), || format!("{texts:?}"))?;
    let known = ["svg", "title", "style", "rect", "text"];
    let foreign = document
        .descendants()
        .find(|node| node.is_element() && !known.contains(&node.tag_name().name()));
    ensure(foreign.is_none(), || format!("{foreign:?}"))
}

/// No character of it changes what stands beside it.
fn harmless(text: &str) -> Result<(), Failed> {
    let wrong = text.chars().find(|&c| {
        c != '\n' && c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{fffd}')
    });
    ensure(wrong.is_none(), || format!("{wrong:?} came through"))
}
