//! Screens of the walkers compared, and of one of them.

use super::{
    Info, Input, Options, Request,
    app::{App, Effect},
    fixture,
    keys::Action,
    tests::{draw, screen, text},
};
use crate::{
    input::Walkers,
    walk::{
        fixture::{hostile, report},
        report::Report,
    },
};

/// Something is going on, and the walkers have been counted.
fn counted(report: Report) -> Vec<Input> {
    let mut inputs = fixture::busy(9);
    inputs.push(Input::Walkers(Walkers::Counted(Box::new(report))));
    inputs
}

/// Of so many walkers.
fn of(walkers: usize) -> Report {
    let mut report = report(false);
    report.walkers.truncate(walkers);
    report
}

const SIZES: [(u16, u16); 3] = [(80, 24), (200, 60), (40, 12)];
const INTO_WALKER: [Action; 4] = [Action::Compare, Action::Down, Action::Down, Action::Open];

#[test]
fn the_table_of_walkers() {
    for (width, height) in SIZES {
        let name = format!("walkers_{width}x{height}");
        let keys = [Action::Compare, Action::Down, Action::Down];
        insta::assert_snapshot!(name, screen(counted(report(false)), &keys, width, height));
    }
    for walkers in [0, 1] {
        let name = format!("walkers_{walkers}");
        let screen = screen(counted(of(walkers)), &[Action::Compare], 80, 14);
        insta::assert_snapshot!(name, screen);
    }
    let text =
        screen(counted(report(true)), &[Action::Compare, Action::Down, Action::Down], 80, 24);
    let smaps = text.lines().find(|line| line.starts_with("smaps         PMD")).unwrap();
    assert!(smaps.contains(" unified "), "{smaps}");
    let about = "G smaps_pte_range; H unified: served by the generic smaps_pte_range";
    assert!(text.lines().any(|line| line == about), "{text}");
}

#[test]
fn one_walker() {
    for (width, height) in SIZES {
        let name = format!("walker_{width}x{height}");
        insta::assert_snapshot!(name, screen(counted(report(false)), &INTO_WALKER, width, height));
    }
    let scrolled = [&INTO_WALKER[..], &[Action::Last]].concat();
    insta::assert_snapshot!("walker_hostile", screen(counted(hostile()), &scrolled, 80, 24));
}

/// Names of processes move nothing, and nothing that is not text reaches the terminal.
#[test]
fn hostile_names_break_no_line() {
    for width in [40, 80, 200] {
        let text = screen(counted(hostile()), &INTO_WALKER, width, 60);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        let parties = text.lines().skip_while(|line| !line.starts_with("WALKS")).skip(1);
        assert_eq!(parties.filter(|line| line.starts_with("  8% ")).count(), 12, "{text}");
        let widest = text.lines().map(crate::text::width).max();
        assert!(widest <= Some(width.into()), "{text}");
    }
}

/// A walker that is opened before it is called shows its calls when there are some.
#[test]
fn calls_come_to_a_walker_that_is_open() {
    let mut idle = report(false);
    idle.walkers[0].rows.clear();
    let mut app = App::new(fixture::info(), Options::default());
    app.take(Input::Walkers(Walkers::Counted(Box::new(idle))));
    let _ = app.act(Action::Compare);
    draw(&mut app, 80, 24);
    let _ = app.act(Action::First);
    let before = text(&draw(&mut app, 80, 24));
    assert!(before.contains("smaps         -"), "{before}");
    let place = before.lines().skip_while(|line| !line.starts_with("WALKER")).skip(1);
    let place = place.take_while(|line| !line.starts_with("smaps")).count();
    for _ in 0..place {
        let _ = app.act(Action::Down);
    }
    let _ = app.act(Action::Open);
    draw(&mut app, 80, 24);
    app.take(Input::Walkers(Walkers::Counted(Box::new(report(false)))));
    let after = text(&draw(&mut app, 80, 24));
    assert!(after.contains("smaps  PTE leaves") && after.contains("GENERIC 100 calls"), "{after}");
}

/// What stands there before there are numbers, and where there never are any.
#[test]
fn why_there_is_no_table() {
    let text = |info: Info, walkers: Option<Walkers>| {
        let mut app = App::new(info, Options::default());
        if let Some(walkers) = walkers {
            app.take(Input::Walkers(walkers));
        }
        let _ = app.act(Action::Compare);
        let text = text(&draw(&mut app, 80, 12));
        text.lines().skip_while(|line| *line != "Walkers").skip(1).collect::<Vec<_>>().join(" ")
    };
    let of = |walkers| text(fixture::info(), Some(walkers));
    assert!(of(Walkers::Attaching(57)).starts_with("Attaching to 57 functions of walkers."));
    let why = "no walker can be watched (smaps: fentry is refused; \u{1b}use another kernel)";
    let said = of(Walkers::Refused(why.to_owned()));
    assert!(said.contains("use another kernel).") && !said.contains('\u{1b}'), "{said}");
    assert!(text(fixture::info(), None).starts_with("Nothing is attached"));
    let replay = Info { is_replay: true, ..fixture::info() };
    assert!(text(replay, None).starts_with("A trace does not have the calls of walkers"));
}

/// They are attached to when they are opened first, and never for a replay.
#[test]
fn opening_them_asks_once() {
    let mut app = App::new(fixture::info(), Options::default());
    assert_eq!(app.act(Action::CountAnew), Effect::Continue);
    assert_eq!(app.act(Action::Compare), Effect::Ask(Request::Count));
    app.take(Input::Walkers(Walkers::Attaching(7)));
    assert_eq!(app.act(Action::CountAnew), Effect::Ask(Request::CountAnew));
    assert_eq!(app.act(Action::Compare), Effect::Continue);
    assert_eq!(app.act(Action::Compare), Effect::Continue);
    let mut replay = App::new(Info { is_replay: true, ..fixture::info() }, Options::default());
    assert_eq!(replay.act(Action::Compare), Effect::Continue);
}

/// From one walker to the table, and from there to what was open before.
#[test]
fn back_is_where_one_came_from() {
    let mut inputs = counted(report(false));
    inputs.push(fixture::map(Some(9)).into());
    let vmas = |keys: &[Action]| {
        screen(inputs.clone(), &[&[Action::Down, Action::Open], keys].concat(), 80, 24)
    };
    let there = vmas(&[]);
    let into = [&INTO_WALKER[..], &[Action::Down, Action::Up]].concat();
    assert_eq!(vmas(&[&into[..], &[Action::Back, Action::Back]].concat()), there);
    assert_eq!(vmas(&[&into[..], &[Action::Compare]].concat()), there);
    assert!(vmas(&[&into[..], &[Action::Back]].concat()).contains("WALKER"));
}

#[test]
fn the_order_is_that_of_a_column() {
    let first = |keys: &[Action]| {
        let keys = [&[Action::Compare], keys].concat();
        let text = screen(counted(report(false)), &keys, 200, 60);
        let row = text.lines().skip_while(|line| !line.starts_with("WALKER")).nth(1).unwrap();
        row.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(first(&[]), "smaps PTE");
    // By the name: the column that sorts beside the time.
    assert_eq!(first(&[Action::SortLeft]), "clear_refs -");
    assert_eq!(first(&[Action::SortRight]), "smaps PMD");
    assert_eq!(first(&[Action::SortRight, Action::Reverse]), "pagemap -");
}
