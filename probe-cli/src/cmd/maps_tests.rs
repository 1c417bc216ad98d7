//! The command with a source that is made up.

use std::io::{self, Write};

use clap::Parser;

use super::{Args, show};
use crate::{
    exit::{Failure, is_broken_pipe},
    maps::{
        json,
        source::{MapError, MapSource, Wants},
    },
    model::{
        fixture,
        set::{Origin, TranslationSet},
    },
};

#[derive(Debug, Parser)]
struct Alone {
    #[command(flatten)]
    args: Args,
}

fn parse(words: &[&str]) -> Result<Args, clap::Error> {
    Alone::try_parse_from([&["maps"], words].concat()).map(|alone| alone.args)
}

/// Even PIDs have an address space; 7 is somebody else's; all others end.
struct Fake;

impl MapSource for Fake {
    fn read(&mut self, pid: u32, _: Wants) -> Result<TranslationSet, MapError> {
        let set = fixture::set();
        let origin = Origin { pid, ..set.origin().clone() };
        match pid {
            7 => Err(MapError::NoRights { pid, needs: "needs CAP_SYS_PTRACE".to_owned() }),
            pid if pid.is_multiple_of(2) => {
                Ok(TranslationSet::new(origin, set.maps().to_vec()).unwrap())
            }
            _ => Err(MapError::Exited { pid }),
        }
    }
}

fn output(words: &[&str], pids: &[u32]) -> (String, anyhow::Result<()>) {
    let args = parse(words).unwrap();
    let mut out = Vec::new();
    let mut views = args.views(&mut out).unwrap();
    let result = show(&args, pids, &mut Fake, &mut views);
    drop(views);
    (String::from_utf8(out).unwrap(), result)
}

fn code(result: anyhow::Result<()>) -> u8 {
    result.unwrap_err().downcast::<Failure>().unwrap().code()
}

#[test]
fn the_command_line_is_checked() {
    for words in [&["1"][..], &["--all"], &["--comm=x", "--json"], &["1", "2", "--csv"]] {
        assert!(parse(words).is_ok(), "{words:?}");
    }
    for words in [&[][..], &["1", "--all"], &["1", "--json", "--csv"], &["x"], &["1", "--sort=x"]] {
        assert!(parse(words).is_err(), "{words:?}");
    }
    assert!(parse(&["--help"]).unwrap_err().to_string().contains("Examples:"));
}

#[test]
fn processes_follow_each_other_with_headings_and_a_sum() {
    let (text, result) = output(&["2", "4"], &[2, 4]);
    result.unwrap();
    let headings: Vec<_> = text.lines().filter(|line| line.contains("process")).collect();
    assert_eq!(
        headings,
        [
            "process 2 (postgres)",
            "process 4 (postgres)",
            "2 processes; what they share counts for each"
        ]
    );
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let (text, result) = output(&["1", "2", "--json"], &[1, 2]);
    assert_eq!(json::read(&text).unwrap()[0].origin().pid, 2);
    assert_eq!(code(result), 5);
    let (text, result) = output(&["--all", "--json"], &[1, 2, 3, 7, 8]);
    result.unwrap();
    assert_eq!(json::read(&text).unwrap().len(), 2);
    assert_eq!(code(output(&["--all"], &[1, 7]).1), 4);
    assert_eq!(code(output(&["--all"], &[1, 3]).1), 5);
}

#[test]
fn a_picture_goes_to_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.svg");
    let path = path.to_str().unwrap();
    assert_eq!(output(&["2", "--svg", path], &[2]).0, "");
    assert!(output(&["2", "--runs", "--svg", path], &[2]).0.starts_with("process 2"));
    assert!(std::fs::read_to_string(path).unwrap().ends_with("</svg>\n"));
    let nowhere = folder.path().join("none/map.svg");
    let args = parse(&["2", "--svg", nowhere.to_str().unwrap()]).unwrap();
    assert_eq!(code(args.views(io::sink()).map(|_| ())), 6);
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_known_as_one() {
    for words in [&["2"][..], &["2", "--json"], &["2", "--runs"]] {
        let args = parse(words).unwrap();
        let mut views = args.views(Closed).unwrap();
        assert!(
            is_broken_pipe(&show(&args, &[2], &mut Fake, &mut views).unwrap_err()),
            "{words:?}"
        );
    }
    let closed = parse(&["2", "--csv"]).unwrap().views(Closed).map(|_| ());
    assert!(is_broken_pipe(&closed.unwrap_err()));
}
