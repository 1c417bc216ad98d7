//! What keys do to the state of the view.

use super::{App, Effect};
use crate::input::{Pace, Progress, Replay};
use crate::tui::{
    Control, Info, Input, Options, Request, Scope,
    depth::Level,
    fixture,
    keys::{self, Action, BINDINGS},
};
use ratatui::{
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    layout::Rect,
};

/// A view in which every key has something to change.
fn busy() -> App {
    let mut app = App::new(fixture::info(), Options::default());
    for input in fixture::busy(100) {
        app.take(input);
    }
    app.make_fit(Rect::new(0, 0, 80, 24));
    for action in [Action::PageDown, Action::PageDown, Action::PageDown] {
        assert_eq!(app.act(action), Effect::Continue);
    }
    app
}

/// A view in which the process is open that has a map, or a VMA of it.
fn deep(level: Level) -> App {
    let mut app = App::new(fixture::info(), Options::default());
    let mut inputs = fixture::busy(9);
    inputs.push(fixture::map(Some(100)).into());
    inputs.extend(fixture::changes(50));
    for input in inputs {
        app.take(input);
    }
    let keys: &[Action] = match level {
        Level::Processes => &[],
        Level::Process => &[Action::Down, Action::Open],
        Level::Walkers => &[Action::Compare],
        Level::Vma => {
            use Action::{Down, Open, Right};
            &[Down, Open, Down, Down, Down, Open, Right]
        }
    };
    app.make_fit(Rect::new(0, 0, 80, 24));
    for &action in keys {
        let _ = app.act(action);
        app.make_fit(Rect::new(0, 0, 80, 24));
    }
    assert_eq!(app.depth.level(), level);
    app
}

#[test]
fn every_key_does_something() {
    for binding in BINDINGS {
        let mut app = busy();
        if binding.group == keys::VMA {
            app = deep(Level::Vma);
            let (zoomed, middle) = ([Action::ZoomIn; 3], [Action::Right; 40]);
            for action in middle.into_iter().chain(zoomed) {
                let _ = app.act(action);
            }
        }
        if binding.group == keys::WALKERS {
            app = deep(Level::Walkers);
        }
        if binding.group == keys::REPLAY {
            app.info.is_replay = true;
        }
        let before = format!("{app:?}");
        let effect = app.act(binding.action);
        let changed = format!("{app:?}") != before;
        assert_eq!(effect == Effect::Quit, binding.action == Action::Quit);
        assert!(changed || effect != Effect::Continue, "{binding:?}");
    }
}

#[test]
fn the_keys_for_moving_move_what_is_in_front() {
    for moving in [Action::Down, Action::PageDown, Action::Last, Action::Up, Action::First] {
        let mut app = busy();
        let _ = app.act(Action::Help);
        let before = format!("{:?}{:?}{:?}", app.processes, app.depth, app.log);
        let _ = app.act(moving);
        assert_eq!(format!("{:?}{:?}{:?}", app.processes, app.depth, app.log), before);
    }
}

#[test]
fn escape_goes_back_one_thing_at_a_time() {
    let mut app = deep(Level::Vma);
    let _ = app.act(Action::Help);
    let state = |app: &App| {
        let is_filtered = app.log.filtered().is_some();
        (app.help.is_open(), app.depth.level(), is_filtered, app.processes.selected().is_some())
    };
    assert_eq!(state(&app), (true, Level::Vma, true, true));
    let mut states = Vec::new();
    let mut effects = Vec::new();
    for _ in 0..4 {
        effects.push(app.act(Action::Back));
        states.push(state(&app));
    }
    let after = [
        (false, Level::Vma, true, true),
        (false, Level::Process, true, true),
        (false, Level::Processes, false, true),
        (false, Level::Processes, false, false),
    ];
    assert_eq!(states, after);
    let unwatch = Effect::Ask(Request::Unwatch(fixture::OPENED));
    assert_eq!(effects, [Effect::Continue, Effect::Continue, unwatch, Effect::Continue]);
}

#[test]
fn what_is_open_is_followed() {
    let mut app = deep(Level::Processes);
    let _ = app.act(Action::Down);
    assert_eq!(app.act(Action::Open), Effect::Ask(Request::Watch(fixture::OPENED)));
    // Those that were chosen are followed in any case.
    let info = Info { scope: Scope::Chosen, ..fixture::info() };
    let mut app = App::new(info, Options::default());
    for input in fixture::busy(9) {
        app.take(input);
    }
    for action in [Action::Down, Action::Open, Action::Back] {
        assert_eq!(app.act(action), Effect::Continue);
    }
}

#[test]
fn each_level_keeps_selection_sort_and_scroll() {
    let mut app = deep(Level::Process);
    for action in [Action::SortRight, Action::PageDown, Action::Down] {
        let _ = app.act(action);
    }
    app.make_fit(Rect::new(0, 0, 80, 24));
    let before = format!("{:?}{:?}", app.processes, app.depth);
    let _ = app.act(Action::Open);
    app.make_fit(Rect::new(0, 0, 80, 24));
    assert_eq!(app.depth.level(), Level::Vma);
    for action in [Action::Right, Action::ZoomIn, Action::Down, Action::Back] {
        let _ = app.act(action);
    }
    app.make_fit(Rect::new(0, 0, 80, 24));
    assert_eq!(format!("{:?}{:?}", app.processes, app.depth), before);
    // The same process again: as it was left.
    let _ = app.act(Action::Back);
    let _ = app.act(Action::Open);
    app.make_fit(Rect::new(0, 0, 80, 24));
    assert_eq!(format!("{:?}{:?}", app.processes, app.depth), before);
}

#[test]
fn a_pause_holds_the_maps_too() {
    for level in [Level::Process, Level::Vma] {
        let mut app = deep(level);
        let _ = app.act(Action::Pause);
        app.make_fit(Rect::new(0, 0, 80, 24));
        let shown = |app: &App| {
            let area = Rect::new(0, 0, 80, 24);
            let mut buffer = ratatui::buffer::Buffer::empty(area);
            app.render(area, &mut buffer);
            let column = (app.areas.table.y..20).map(|y| format!("{:?}", buffer[(30, y)]));
            column.collect::<Vec<_>>()
        };
        let before = shown(&app);
        for input in fixture::changes(20) {
            app.take(input);
        }
        app.make_fit(Rect::new(0, 0, 80, 24));
        assert_eq!(shown(&app), before);
        let _ = app.act(Action::Pause);
        app.make_fit(Rect::new(0, 0, 80, 24));
        let map = &app.session.maps()[&fixture::OPENED];
        assert_eq!(map.transactions().len(), 2 * 2 + 50 + 20);
    }
}

#[test]
fn a_paused_view_holds_still_and_counts() {
    let mut app = busy();
    let _ = app.act(Action::Pause);
    let held = format!("{:?}", app.processes);
    for input in fixture::busy(3) {
        app.take(input);
    }
    app.take(Input::Event(fixture::split(1, 2)));
    assert_eq!(format!("{:?}", app.processes), held);
    let text: String = app.header(200).iter().map(ToString::to_string).collect();
    assert!(text.contains("PAUSED"), "{text}");
    let _ = app.act(Action::Pause);
    assert_eq!(app.processes.position().1, 3);
}

#[test]
fn what_is_opened_is_in_view() {
    let mut app = busy();
    for action in [Action::Layout, Action::Layout] {
        let _ = app.act(action);
    }
    app.make_fit(Rect::new(0, 0, 80, 24));
    assert!(app.areas.table.is_empty());
    let _ = app.act(Action::Open);
    app.make_fit(Rect::new(0, 0, 80, 24));
    assert!(!app.areas.table.is_empty());
}

/// A view of a replay of the process that has a map.
fn replayed() -> App {
    let info = Info { is_replay: true, scope: Scope::Chosen, ..fixture::info() };
    let mut app = App::new(info, Options::default());
    app.take(fixture::map(Some(100)).into());
    for input in fixture::changes(50) {
        app.take(input);
    }
    app.make_fit(Rect::new(0, 0, 80, 24));
    app
}

#[test]
fn a_replay_is_asked_and_the_view_goes_on() {
    let mut app = replayed();
    let asked = |control| Effect::Ask(Request::Replay(control));
    assert_eq!(app.act(Action::Pause), asked(Control::Toggle));
    assert!(app.held.is_none());
    assert_eq!(app.act(Action::Backward), asked(Control::By(-10)));
    let press = |app: &mut App, code| app.write(&KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!(app.act(Action::Find), Effect::Continue);
    for letter in "zap".chars() {
        assert_eq!(press(&mut app, KeyCode::Char(letter)), Effect::Continue);
    }
    assert!(app.is_typing());
    assert_eq!(press(&mut app, KeyCode::Enter), asked(Control::Find("zap".to_owned())));
    assert!(!app.is_typing());
    assert_eq!(app.act(Action::FindAgain), asked(Control::Find("zap".to_owned())));
}

#[test]
fn going_back_leaves_what_is_open_open() {
    let mut app = replayed();
    for action in [Action::Down, Action::Open, Action::Down, Action::Open] {
        let _ = app.act(action);
        app.make_fit(Rect::new(0, 0, 80, 24));
    }
    assert_eq!(app.depth.level(), Level::Vma);
    let screen = |app: &mut App| {
        let area = Rect::new(0, 0, 80, 24);
        let mut buffer = Buffer::empty(area);
        app.make_fit(area);
        app.render(area, &mut buffer);
        format!("{buffer:?}")
    };
    let before = screen(&mut app);
    app.take(Input::Replay(Replay::Restart));
    assert_eq!(app.depth.level(), Level::Vma);
    assert!(app.session.maps().is_empty());
    let void = screen(&mut app);
    assert_ne!(void, before);
    app.take(fixture::map(Some(100)).into());
    for input in fixture::changes(50) {
        app.take(input);
    }
    assert_eq!(screen(&mut app), before);
}

#[test]
fn the_header_tells_how_a_replay_goes() {
    let mut app = replayed();
    let progress = Progress {
        time: 12_345_678_901,
        pace: Pace::Ended,
        speed: -2,
        said: Some("it was cut".to_owned()),
    };
    app.take(Input::Replay(Replay::Progress(progress)));
    let header = app.header(200).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(header.contains("at 12.345s THE END x1/4, it was cut"), "{header}");
}
