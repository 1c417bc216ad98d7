//! The state of the view: takes in what happens, answers keys, and draws.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    Info, Options,
    feed::Input,
    header::{self, Facts},
    help::Help,
    hints,
    keys::Action,
    log::Log,
    processes::Processes,
    rows::Order,
    screen::{Areas, Layout, too_small},
    theme::Theme,
};
use crate::session::Session;

/// What an action asks of the loop around the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Effect {
    /// Go on.
    Continue,
    /// End the view.
    Quit,
}

/// The view.
#[derive(Debug)]
pub(super) struct App {
    info: Info,
    theme: Theme,
    session: Session,
    /// What is shown while the view is paused.
    held: Option<Session>,
    own: Option<f64>,
    layout: Layout,
    areas: Areas,
    processes: Processes,
    log: Log,
    help: Help,
}

impl App {
    /// A view of nothing yet.
    pub(super) fn new(info: Info, options: Options) -> Self {
        Self {
            info,
            theme: Theme::new(options.color),
            session: Session::default(),
            held: None,
            own: None,
            layout: Layout::default(),
            areas: Areas::default(),
            processes: Processes::default(),
            log: Log::default(),
            help: Help::default(),
        }
    }

    /// Takes in what a feed brings.
    pub(super) fn take(&mut self, input: Input) {
        let is_sample = matches!(input, Input::Sample(_));
        self.session.take(input);
        if is_sample && self.held.is_none() {
            self.processes.refresh(&self.session);
        }
    }

    /// Takes in this process's share of a CPU.
    pub(super) fn set_own_cost(&mut self, share: Option<f64>) {
        self.own = share;
    }

    /// Does what a key asks for.
    pub(super) fn act(&mut self, action: Action) -> Effect {
        match action {
            Action::Quit => return Effect::Quit,
            Action::Help => self.help.toggle(),
            Action::Pause => self.pause(),
            Action::Layout => self.layout = self.layout.next(),
            Action::Back => self.back(),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.page(-1),
            Action::PageDown => self.page(1),
            Action::First => self.first(),
            Action::Last => self.last(),
            Action::Open => self.open(),
            Action::SortLeft => self.processes.sort(Order::left),
            Action::SortRight => self.processes.sort(Order::right),
            Action::Reverse => self.processes.sort(Order::reverse),
        }
        Effect::Continue
    }

    fn pause(&mut self) {
        if self.held.take().is_some() {
            self.processes.refresh(&self.session);
        } else {
            self.held = Some(self.session.clone());
        }
    }

    fn back(&mut self) {
        if self.help.is_open() {
            self.help.toggle();
        } else if self.log.filtered().is_some() {
            self.log.filter(None);
        } else {
            self.processes.deselect();
        }
    }

    fn open(&mut self) {
        if let Some(pid) = self.processes.selected() {
            self.log.filter(Some(pid));
            if self.areas.log.is_empty() {
                self.layout = Layout::Events;
            }
        }
    }

    fn step(&mut self, rows: i16) {
        match self.moves() {
            Moves::Help => self.help.step(rows),
            Moves::Log => self.log.step(shown(self.held.as_ref(), &self.session), rows.into()),
            Moves::Processes => self.processes.step(rows.into()),
        }
    }

    fn page(&mut self, pages: i16) {
        match self.moves() {
            Moves::Help => self.help.page(pages),
            Moves::Log => self.log.page(shown(self.held.as_ref(), &self.session), pages.into()),
            Moves::Processes => self.processes.page(pages.into()),
        }
    }

    fn first(&mut self) {
        match self.moves() {
            Moves::Help => self.help.step(i16::MIN),
            Moves::Log => self.log.first(shown(self.held.as_ref(), &self.session)),
            Moves::Processes => self.processes.select(0),
        }
    }

    fn last(&mut self) {
        match self.moves() {
            Moves::Help => self.help.step(i16::MAX),
            Moves::Log => self.log.follow(),
            Moves::Processes => self.processes.select(usize::MAX),
        }
    }

    /// What the keys for moving move.
    fn moves(&self) -> Moves {
        match self.layout {
            _ if self.help.is_open() => Moves::Help,
            Layout::Events => Moves::Log,
            Layout::Both | Layout::Processes => Moves::Processes,
        }
    }

    fn header(&self, width: u16) -> Vec<ratatui::text::Line<'static>> {
        let waiting = self.held.as_ref().map(|held| self.session.events() - held.events());
        let facts = Facts {
            info: &self.info,
            session: &self.session,
            own: self.own,
            waiting,
            position: self.processes.position(),
        };
        header::lines(facts, self.theme, width)
    }

    /// Gives every widget its room; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, screen: Rect) {
        let header = self.header(screen.width).len();
        self.areas = Areas::share(screen, header, self.layout);
        self.processes.make_fit(self.areas.processes);
        self.log.make_fit(self.areas.log);
        self.help.make_fit(screen);
    }

    /// Draws everything; changes nothing.
    pub(super) fn render(&self, screen: Rect, buffer: &mut Buffer) {
        if let Some(lines) = too_small(screen) {
            for (y, line) in (screen.y..screen.bottom()).zip(lines) {
                buffer.set_stringn(screen.x, y, line, screen.width.into(), Style::new());
            }
            return;
        }
        let Areas { header, processes, log, hints } = self.areas;
        let session = shown(self.held.as_ref(), &self.session);
        header::render(&self.header(header.width), header, buffer);
        self.processes.render(self.theme, processes, buffer);
        self.log.render(session, self.info.start, self.theme, log, buffer);
        hints::render(self.theme, hints, buffer);
        self.help.render(self.theme, screen, buffer);
    }
}

enum Moves {
    Help,
    Log,
    Processes,
}

/// What is to be seen: the session, or, while the view is paused, what it was then.
fn shown<'a>(held: Option<&'a Session>, session: &'a Session) -> &'a Session {
    held.unwrap_or(session)
}

#[cfg(test)]
mod tests {
    use super::{App, Effect};
    use crate::tui::{
        Input, Options, fixture,
        keys::{Action, BINDINGS},
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

    #[test]
    fn every_key_does_something() {
        for binding in BINDINGS {
            let mut app = busy();
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
            let before = format!("{:?}{:?}", app.processes, app.log);
            let _ = app.act(moving);
            assert_eq!(format!("{:?}{:?}", app.processes, app.log), before);
        }
    }

    #[test]
    fn escape_goes_back_one_thing_at_a_time() {
        let mut app = busy();
        for action in [Action::Open, Action::Help] {
            let _ = app.act(action);
        }
        let state = |app: &App| {
            (app.help.is_open(), app.log.filtered().is_some(), app.processes.selected().is_some())
        };
        assert_eq!(state(&app), (true, true, true));
        let mut states = Vec::new();
        for _ in 0..3 {
            let _ = app.act(Action::Back);
            states.push(state(&app));
        }
        assert_eq!(states, [(false, true, true), (false, false, true), (false, false, false)]);
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
    fn opening_without_a_log_in_view_shows_it() {
        let mut app = busy();
        let _ = app.act(Action::Layout);
        app.make_fit(Rect::new(0, 0, 80, 24));
        let _ = app.act(Action::Open);
        app.make_fit(Rect::new(0, 0, 80, 24));
        assert!(!app.areas.log.is_empty());
    }
}
