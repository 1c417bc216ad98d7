//! What keys do to the state of the view.

use super::{App, Effect};
use crate::tui::{
    Info, Input, Options, Request, Scope,
    depth::Level,
    fixture,
    keys::{self, Action, BINDINGS},
};
use ratatui::layout::Rect;

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
        let before = format!("{app:?}");
        let effect = app.act(binding.action);
        let changed = format!("{app:?}") != before;
        assert_eq!(effect == Effect::Quit, binding.action == Action::Quit);
        assert!(changed || effect == Effect::Quit, "{binding:?}");
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
