//! Screens: what the whole view looks like.

use std::time::{Duration, Instant};

use probe_common::probe::Probe;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, layout::Rect, style::Color};
use unicode_width::UnicodeWidthStr as _;

use super::{
    Feed, Info, Input, Mode, Options,
    app::App,
    fixture::{self, Demo, Flood},
    keys::Action,
};
use crate::{
    input::Walkers,
    sample::{ProcessSample, Sample},
    stop::Stop,
};

fn app(inputs: Vec<Input>, actions: &[Action]) -> App {
    app_of(inputs, actions, 80, 24)
}

pub(super) fn app_of(inputs: Vec<Input>, actions: &[Action], width: u16, height: u16) -> App {
    let mut app = App::new(fixture::info(), Options::default());
    for input in inputs {
        app.take(input);
    }
    app.set_own_cost(Some(0.0042));
    app.make_fit(Rect::new(0, 0, width, height));
    for &action in actions {
        let _ = app.act(action);
        app.make_fit(Rect::new(0, 0, width, height));
    }
    app
}

pub(super) fn draw(app: &mut App, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            app.make_fit(frame.area());
            app.render(frame.area(), frame.buffer_mut());
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

/// The screen as text; a wide character hides the cell behind it.
pub(super) fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            x += u16::try_from(symbol.width().max(1)).unwrap();
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

pub(super) fn screen(inputs: Vec<Input>, actions: &[Action], width: u16, height: u16) -> String {
    text(&draw(&mut app_of(inputs, actions, width, height), width, height))
}

#[test]
fn usual_sizes() {
    insta::assert_snapshot!("80x24", screen(fixture::busy(9), &[], 80, 24));
    insta::assert_snapshot!("200x60", screen(fixture::busy(30), &[], 200, 60));
    insta::assert_snapshot!("40x12", screen(fixture::busy(9), &[], 40, 12));
    insta::assert_snapshot!("20x5", screen(fixture::busy(9), &[], 20, 5));
}

/// A busy machine whose processes have been counted.
fn counted(processes: u32) -> Vec<Input> {
    let mut inputs = vec![fixture::counts(processes)];
    inputs.extend(fixture::busy(processes));
    inputs
}

#[test]
fn bytes_by_leaf_size() {
    insta::assert_snapshot!("counted_80x24", screen(counted(9), &[], 80, 24));
    insta::assert_snapshot!("counted_200x60", screen(counted(30), &[], 200, 60));
    insta::assert_snapshot!("counted_40x12", screen(counted(9), &[], 40, 12));
}

#[test]
fn no_row_one_row_and_thousands() {
    insta::assert_snapshot!("rows_0", screen(Vec::new(), &[], 80, 12));
    insta::assert_snapshot!("rows_1", screen(fixture::busy(1), &[Action::Down], 80, 12));
    let keys = [Action::Last, Action::PageUp, Action::Up];
    insta::assert_snapshot!("rows_5000", screen(fixture::busy(5000), &keys, 80, 24));
}

#[test]
fn every_layout() {
    let layout = Action::Layout;
    insta::assert_snapshot!("processes", screen(fixture::busy(9), &[layout], 80, 16));
    insta::assert_snapshot!("events", screen(fixture::busy(9), &[layout, layout], 120, 16));
    let filtered = [Action::Down, Action::Open];
    insta::assert_snapshot!("filtered", screen(fixture::busy(9), &filtered, 80, 24));
}

#[test]
fn help_lies_over_the_view() {
    insta::assert_snapshot!("help", screen(fixture::busy(9), &[Action::Help], 80, 44));
    let scrolled = [Action::Help, Action::Last];
    insta::assert_snapshot!("help_40x12", screen(fixture::busy(9), &scrolled, 40, 12));
}

#[test]
fn paused_counts_what_waits() {
    let mut app = app(fixture::busy(9), &[Action::Pause]);
    for input in fixture::busy(3) {
        app.take(input);
    }
    insta::assert_snapshot!("paused", text(&draw(&mut app, 80, 24)));
}

#[test]
fn losses_are_red_and_explained() {
    let mut sample = fixture::sample(4, 9);
    sample.counters[Probe::MmFault.index()].lost_ring = 1200;
    sample.counters[Probe::Collapse.index()].lost_state = 34;
    sample.left_out = 5;
    let mut inputs = fixture::busy(9);
    inputs.push(sample.into());
    let mut app = app(inputs, &[]);
    let buffer = draw(&mut app, 80, 24);
    insta::assert_snapshot!("losses", text(&buffer));
    let red = (0..24).filter(|&y| buffer[(0, y)].fg == Color::Red).count();
    assert_eq!(red, 3);
}

#[test]
fn a_reduced_mode_says_why() {
    let why = "this kernel refuses fentry and kprobes".to_owned();
    let info = Info { mode: Mode::Reduced(why), attached: 4, ..fixture::info() };
    let mut app = App::new(info, Options::default());
    insta::assert_snapshot!("reduced", text(&draw(&mut app, 80, 8)));
}

#[test]
fn no_size_and_no_key_panics() {
    let mut inputs = fixture::busy(50);
    inputs.push(fixture::map(Some(30)).into());
    inputs.extend(fixture::changes(30));
    let walkers = Walkers::Counted(Box::new(crate::walk::fixture::hostile()));
    inputs.push(Input::Walkers(walkers));
    let mut app = app(inputs, &[]);
    let actions: Vec<_> = super::keys::BINDINGS.iter().map(|binding| binding.action).collect();
    for round in 0..60_u16 {
        for &action in &actions {
            let _ = app.act(action);
        }
        let _ = app.act(Action::Open);
        for (width, height) in [(round * 3, round), (round, round * 2), (200, round), (round, 60)] {
            app.make_fit(Rect::new(0, 0, width, height));
            let area = Rect::new(0, 0, width, height);
            app.render(area, &mut Buffer::empty(area));
            let _ = app.act(actions[usize::from(round) % actions.len()]);
        }
    }
}

#[test]
fn hostile_names_break_no_column() {
    let mut sample = Sample { time: 1, ..Sample::default() };
    for (i, name) in fixture::HOSTILE.iter().enumerate() {
        let pid = 100 + u32::try_from(i).unwrap();
        sample.processes.push(ProcessSample {
            pid,
            comm: (*name).to_owned(),
            calls: [7; probe_common::probe::PROBES],
            ..ProcessSample::default()
        });
    }
    let mut inputs = vec![Input::from(sample)];
    for (i, name) in fixture::HOSTILE.iter().enumerate() {
        let mut event = fixture::collapse(i as u64, 100);
        event.by.comm = (*name).to_owned();
        inputs.push(event.into());
    }
    for width in [40, 80, 200] {
        let text = screen(inputs.clone(), &[], width, 40);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("  1")).collect();
        assert_eq!(rows.len(), fixture::HOSTILE.len(), "{text}");
        let end = |line: &&str| line.width();
        assert!(rows.iter().all(|row| end(row) == end(&rows[0])), "{text}");
    }
}

#[test]
fn without_colours_there_are_none() {
    let mut app = App::new(fixture::info(), Options { color: false });
    for input in fixture::busy(9) {
        app.take(input);
    }
    for _ in 0..2 {
        let _ = app.act(Action::Down);
        let buffer = draw(&mut app, 80, 24);
        let reset = |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == Default::default();
        assert!(buffer.content.iter().all(reset));
        let _ = app.act(Action::Help);
    }
}

#[test]
fn only_the_terminals_own_colours() {
    let buffer = draw(&mut app(fixture::busy(9), &[Action::Down]), 80, 24);
    for cell in &buffer.content {
        for color in [cell.fg, cell.bg] {
            assert!(!matches!(color, Color::Rgb(..) | Color::Indexed(_)), "{color:?}");
        }
    }
}

#[test]
fn a_frame_of_thousands_of_rows_is_quick() {
    let mut app = app(fixture::busy(5000), &[Action::Last]);
    let start = Instant::now();
    for _ in 0..10 {
        draw(&mut app, 200, 60);
    }
    // Generous: an unoptimised build on a busy machine.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

fn look(feed: impl Feed + Send + 'static) -> anyhow::Result<()> {
    let stop = Stop::on_signals().unwrap();
    super::run(Box::new(feed), fixture::info(), Options::from_environment(), &stop)
}

/// Brings a little, then panics.
struct Broken;

impl Feed for Broken {
    fn poll(&mut self, timeout: Duration) -> anyhow::Result<Vec<Input>> {
        std::thread::sleep(timeout * 20);
        panic!("a panic in the feed's thread")
    }
}

/// The terminal must be as before, and the panic's message on it.
#[test]
#[ignore = "needs a terminal and somebody who looks at it"]
fn demo_that_panics() {
    let run = look(Broken);
    assert_eq!(run.unwrap_err().to_string(), "the thread that reads the events panicked");
}

/// The view with made-up data, to look at:
/// `cargo test -p walkprobe --lib demo_in_a_terminal -- --ignored --nocapture`.
#[test]
#[ignore = "needs a terminal and somebody who looks at it"]
fn demo_in_a_terminal() {
    look(Demo::new()).unwrap();
}

/// The keys must be answered at once.
#[test]
#[ignore = "needs a terminal and somebody who looks at it"]
fn demo_under_load() {
    look(Flood::default()).unwrap();
}
