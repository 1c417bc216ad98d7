//! Screens of what is open of one process: its VMAs, and one of them.

use std::time::{Duration, Instant};

use ratatui::style::{Color, Modifier};

use super::{
    Info, Input, Options, Scope,
    app::App,
    fixture,
    keys::Action,
    tests::{app_of, draw, screen, text},
};
use crate::{
    event::Detail,
    input::Note,
    sample::Sample,
    track::reading::{Reading, Why},
};

/// A process is open whose map is this, and that so much was done to.
fn opened(map: Reading, splits: Option<u64>) -> Vec<Input> {
    let mut inputs = fixture::busy(9);
    inputs.push(map.into());
    inputs.extend(splits.map(fixture::changes).into_iter().flatten());
    inputs
}

const SIZES: [(u16, u16); 3] = [(80, 24), (200, 60), (40, 12)];

#[test]
fn the_vmas_of_a_process() {
    let open = [Action::Down, Action::Open];
    for (width, height) in SIZES {
        let inputs = opened(fixture::map(Some(40)), Some(3));
        let name = format!("vmas_{width}x{height}");
        insta::assert_snapshot!(name, screen(inputs, &open, width, height));
    }
    let text = |map, keys: &[Action]| screen(opened(map, None), keys, 80, 24);
    insta::assert_snapshot!("vmas_0", text(fixture::map(None), &open));
    insta::assert_snapshot!("vmas_1", text(fixture::small_map(), &open));
    let last = [Action::Down, Action::Open, Action::Last, Action::Up];
    insta::assert_snapshot!("vmas_5000", text(fixture::map(Some(5000)), &last));
    let newest = [Action::Down, Action::Open, Action::SortLeft, Action::SortRight];
    let newest = newest.into_iter().chain([Action::SortRight; 20]).collect::<Vec<_>>();
    let inputs = opened(fixture::map(Some(40)), Some(3));
    insta::assert_snapshot!("vmas_by_change", screen(inputs, &newest, 80, 24));
}

/// From the table of processes to the anonymous memory of the one that has a map.
const INTO_VMA: [Action; 6] =
    [Action::Down, Action::Open, Action::Down, Action::Down, Action::Down, Action::Open];

#[test]
fn one_vma() {
    for (width, height) in SIZES {
        let inputs = opened(fixture::map(Some(40)), Some(3));
        let name = format!("vma_{width}x{height}");
        insta::assert_snapshot!(name, screen(inputs, &INTO_VMA, width, height));
    }
    let inputs = |splits| opened(fixture::map(Some(40)), splits);
    insta::assert_snapshot!("vma_operations_0", screen(inputs(None), &INTO_VMA, 80, 24));
    let mut keys = INTO_VMA.to_vec();
    keys.extend([Action::LastChange, Action::ZoomIn, Action::ZoomIn, Action::Left]);
    insta::assert_snapshot!("vma_zoomed", screen(inputs(Some(3)), &keys, 80, 24));
    keys = INTO_VMA.to_vec();
    keys.extend([Action::PageDown, Action::PageDown, Action::Down]);
    insta::assert_snapshot!("vma_operations_4000", screen(inputs(Some(4000)), &keys, 80, 24));
    keys = INTO_VMA[..2].to_vec();
    keys.extend([Action::Down; 3]);
    keys.extend([Action::Down, Action::Down, Action::Down, Action::Open]);
    insta::assert_snapshot!("vma_hostile", screen(inputs(Some(3)), &keys, 80, 24));
}

#[test]
fn what_is_not_certain_looks_different() {
    let mut inputs = opened(fixture::map(Some(1)), Some(3));
    inputs.push(Input::Note(Note::Lost { time: 9_000_000_000, number: 7 }));
    let mut split = fixture::split(9_100_000_000, fixture::OPENED);
    if let Detail::PmdSplit { address, .. } = &mut split.detail {
        address.0 = 0x7f12_3500_0000;
    }
    inputs.push(split.into());
    insta::assert_snapshot!("vma_uncertain", screen(inputs.clone(), &INTO_VMA, 80, 24));
    let buffer = draw(&mut app_of(inputs, &INTO_VMA, 80, 24), 80, 24);
    let strip = (0..24).find(|&y| buffer[(0, y)].symbol() == "▂").unwrap();
    let faint = |x| buffer[(x, strip)].modifier.contains(Modifier::DIM);
    assert!(faint(10) && !faint(20), "{:?}", text(&buffer));
}

#[test]
fn a_process_that_has_ended_is_kept_as_it_was_last() {
    let mut inputs = opened(fixture::map(Some(10)), Some(3));
    inputs.push(Input::Note(Note::Gone { time: 11_000_000_000, pid: fixture::OPENED }));
    inputs.push(Sample { time: 15_000_000_000, ..Sample::default() }.into());
    insta::assert_snapshot!("vmas_ended", screen(inputs.clone(), &INTO_VMA[..2], 80, 24));
    insta::assert_snapshot!("vma_ended", screen(inputs, &INTO_VMA, 80, 24));
}

#[test]
fn how_a_map_is_kept_up_to_date() {
    let line = |info: Info, inputs: Vec<Input>| {
        let mut app = App::new(info, Options::default());
        for input in inputs {
            app.take(input);
        }
        for action in [Action::Down, Action::Open] {
            let _ = app.act(action);
        }
        let text = text(&draw(&mut app, 100, 24));
        text.lines().nth(3).unwrap().to_owned()
    };
    let blind = Info { is_blind: true, ..fixture::info() };
    let chosen = Info { scope: Scope::Chosen, ..blind.clone() };
    let mut twice = opened(fixture::map(Some(1)), None);
    twice.push(Reading { time: 5_600_000_000, why: Why::Missed, ..fixture::map(Some(1)) }.into());
    let unread =
        Input::Note(Note::Unread { time: 0, pid: fixture::OPENED, why: "no rights".to_owned() });
    let lines = [
        line(fixture::info(), fixture::busy(9)),
        line(fixture::info(), opened(fixture::map(Some(1)), None)),
        line(blind.clone(), opened(fixture::map(Some(1)), None)),
        line(blind, twice.clone()),
        line(chosen, twice.clone()),
        line(fixture::info(), twice.into_iter().chain([unread.clone()]).collect()),
        line(fixture::info(), fixture::busy(9).into_iter().chain([unread]).collect()),
    ];
    insta::assert_snapshot!("follows", lines.join("\n"));
}

#[test]
fn hostile_names_break_nothing_at_any_level() {
    for (i, name) in fixture::HOSTILE.iter().enumerate() {
        let mut map = fixture::map(Some(1));
        map.comm = (*name).to_owned();
        for vma in map.vmas.iter_mut().flatten() {
            vma.name = (*name).to_owned();
        }
        for width in [40, 80, 200] {
            for keys in [&INTO_VMA[..2], &INTO_VMA] {
                let text = screen(opened(map.clone(), Some(3)), keys, width, 24);
                assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{i}: {text}");
                let widest = text.lines().map(crate::text::width).max();
                assert!(widest <= Some(width.into()), "{i}: {text}");
            }
        }
    }
}

#[test]
fn colours_are_the_terminals_own_or_none_at_every_level() {
    for color in [true, false] {
        for keys in [&INTO_VMA[..2], &INTO_VMA] {
            let mut app = App::new(fixture::info(), Options { color });
            for input in opened(fixture::map(Some(9)), Some(3)) {
                app.take(input);
            }
            draw(&mut app, 80, 24);
            for &key in keys {
                let _ = app.act(key);
                draw(&mut app, 80, 24);
            }
            let buffer = draw(&mut app, 80, 24);
            for cell in &buffer.content {
                for one in [cell.fg, cell.bg] {
                    assert!(!matches!(one, Color::Rgb(..) | Color::Indexed(_)));
                    assert!(color || one == Color::Reset);
                }
            }
        }
    }
}

/// Only what is in view is drawn, and nothing is summed up again that has not changed.
#[test]
fn a_frame_of_ten_thousand_vmas_is_quick() {
    let keys = [Action::Down, Action::Open, Action::Last];
    let inputs = opened(fixture::map(Some(10_000)), Some(3));
    let mut app = app_of(inputs, &keys, 200, 60);
    let start = Instant::now();
    for _ in 0..10 {
        draw(&mut app, 200, 60);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
