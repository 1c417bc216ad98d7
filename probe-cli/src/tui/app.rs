//! The state of the view: takes in what happens, answers keys, and draws.

use ratatui::{buffer::Buffer, crossterm::event::KeyEvent, layout::Rect, style::Style};

use super::{
    Info, Options, Scope,
    depth::{Depth, Level},
    feed::{Control, Input, Request},
    header::{self, Facts},
    help::Help,
    hints,
    keys::{self, Action},
    log::Log,
    order::Order,
    processes::Processes,
    prompt::{Prompt, Typed},
    screen::{Areas, Layout, too_small},
    theme::Theme,
};
use crate::{
    input::{Progress, Replay},
    session::Session,
};

/// What an action asks of the loop around the view.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Effect {
    /// Go on.
    Continue,
    /// Ask this of the feed.
    Ask(Request),
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
    depth: Depth,
    log: Log,
    help: Help,
    /// How the replay goes, where there is one.
    progress: Option<Progress>,
    prompt: Option<Prompt>,
    /// What was looked for last.
    found: Option<String>,
}

/// How far one key goes in a trace, in seconds.
const LEAP: i64 = 10;

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
            depth: Depth::default(),
            log: Log::default(),
            help: Help::default(),
            progress: None,
            prompt: None,
            found: None,
        }
    }

    /// Takes in what a feed brings.
    pub(super) fn take(&mut self, input: Input) {
        // Rates come with samples; what was chosen is there before the first one.
        let is_news = match input {
            Input::Sample(_) => true,
            Input::Reading(_) => self.processes.position().1 == 0,
            _ => false,
        };
        let is_restart = match input {
            Input::Replay(Replay::Progress(progress)) => {
                self.progress = Some(progress);
                return;
            }
            Input::Replay(Replay::Restart) => true,
            _ => false,
        };
        self.session.take(input);
        if is_restart {
            self.log.follow();
            self.processes.list().expect_again();
            self.processes.refresh(&self.session);
        }
        if is_news && self.held.is_none() {
            self.processes.refresh(&self.session);
        }
    }

    /// Takes in this process's share of a CPU.
    pub(super) fn set_own_cost(&mut self, share: Option<f64>) {
        self.own = share;
    }

    /// Does what a key asks for.
    pub(super) fn act(&mut self, action: Action) -> Effect {
        if self.info.is_replay
            && let Some(effect) = self.control(action)
        {
            return effect;
        }
        match action {
            Action::Quit => return Effect::Quit,
            Action::Help => self.help.toggle(),
            Action::Pause => self.pause(),
            Action::Layout => self.layout = self.depth.layout(self.layout),
            Action::Back => return self.back(),
            Action::Open => return self.open(),
            Action::Compare => return self.compare(),
            Action::CountAnew if self.depth.level() == Level::Walkers => {
                return Effect::Ask(Request::CountAnew);
            }
            Action::Up => self.move_by(action, -1, false),
            Action::Down => self.move_by(action, 1, false),
            Action::PageUp => self.move_by(action, -1, true),
            Action::PageDown => self.move_by(action, 1, true),
            Action::First => self.move_by(action, i16::MIN, false),
            Action::Last => self.move_by(action, i16::MAX, false),
            Action::SortLeft if self.is_table() => self.processes.sort(Order::left),
            Action::SortRight if self.is_table() => self.processes.sort(Order::right),
            Action::Reverse if self.is_table() => self.processes.sort(Order::reverse),
            action => self.deeper(action),
        }
        Effect::Continue
    }

    /// The table of processes is what is open.
    fn is_table(&self) -> bool {
        self.depth.level() == Level::Processes
    }

    fn pause(&mut self) {
        if self.held.take().is_some() {
            self.processes.refresh(&self.session);
        } else {
            self.held = Some(self.session.clone());
        }
    }

    /// Does what a key asks of a replay; `None` when it asks for something else.
    fn control(&mut self, action: Action) -> Option<Effect> {
        let control = match action {
            Action::Pause => Control::Toggle,
            Action::Step => Control::Step,
            Action::Faster => Control::Faster,
            Action::Slower => Control::Slower,
            Action::Backward => Control::By(-LEAP),
            Action::Forward => Control::By(LEAP),
            Action::FindAgain if let Some(text) = &self.found => Control::Find(text.clone()),
            Action::GoTo => {
                self.prompt = Some(Prompt::go_to());
                return Some(Effect::Continue);
            }
            Action::Find | Action::FindAgain => {
                self.prompt = Some(Prompt::find());
                return Some(Effect::Continue);
            }
            _ => return None,
        };
        Some(Effect::Ask(Request::Replay(control)))
    }

    /// Whether keys are letters of a text now.
    pub(super) fn is_typing(&self) -> bool {
        self.prompt.is_some()
    }

    /// Takes in a key of a text.
    pub(super) fn write(&mut self, key: &KeyEvent) -> Effect {
        let Some(prompt) = &mut self.prompt else { return Effect::Continue };
        let typed = prompt.take(key);
        if typed != Typed::More {
            self.prompt = None;
        }
        match typed {
            Typed::More | Typed::Nothing => Effect::Continue,
            Typed::Quit => Effect::Quit,
            Typed::Done(control) => {
                if let Control::Find(text) = &control {
                    self.found = Some(text.clone());
                }
                Effect::Ask(Request::Replay(control))
            }
        }
    }

    fn back(&mut self) -> Effect {
        if self.help.is_open() {
            self.help.toggle();
        } else if self.depth.level() == Level::Walkers {
            self.depth.back();
        } else if let Some(pid) = self.depth.process() {
            self.depth.back();
            if self.is_table() {
                self.log.filter(None);
                return self.ask(Request::Unwatch(pid));
            }
        } else {
            self.processes.list().deselect();
        }
        Effect::Continue
    }

    fn open(&mut self) -> Effect {
        if self.help.is_open() {
            return Effect::Continue;
        }
        if !self.is_table() {
            self.depth.open_selected(shown(self.held.as_ref(), &self.session));
            return Effect::Continue;
        }
        let Some(pid) = self.processes.list().choose() else { return Effect::Continue };
        self.depth.open(pid);
        self.log.filter(Some(pid));
        if self.layout == Layout::Events {
            self.layout = Layout::Both;
        }
        self.ask(Request::Watch(pid))
    }

    /// Opens the walkers, which are attached to the first time, or what was open before them.
    fn compare(&mut self) -> Effect {
        if self.help.is_open() {
            return Effect::Continue;
        }
        self.depth.compare();
        if self.layout == Layout::Events {
            self.layout = Layout::Both;
        }
        if self.info.is_replay || self.session.walkers().is_some() {
            Effect::Continue
        } else {
            Effect::Ask(Request::Count)
        }
    }

    /// Only where all processes are watched: those that were chosen are followed in any case. PID 0 is none.
    fn ask(&self, request: Request) -> Effect {
        match request {
            Request::Watch(0) | Request::Unwatch(0) => Effect::Continue,
            _ if self.info.scope == Scope::Chosen => Effect::Continue,
            request => Effect::Ask(request),
        }
    }

    /// Moves what is in front: by rows, or by pages.
    fn move_by(&mut self, action: Action, by: i16, pages: bool) {
        let moves = self.moves();
        let session = shown(self.held.as_ref(), &self.session);
        let list = self.processes.list();
        match moves {
            Moves::Help if pages => self.help.page(by),
            Moves::Help => self.help.step(by),
            Moves::Log if pages => self.log.page(session, by.into()),
            Moves::Log if action == Action::First => self.log.first(session),
            Moves::Log if action == Action::Last => self.log.follow(),
            Moves::Log => self.log.step(session, by.into()),
            Moves::Depth => self.deeper(action),
            Moves::Processes if pages => list.page(by.into()),
            Moves::Processes if action == Action::First => list.select(0),
            Moves::Processes if action == Action::Last => list.select(usize::MAX),
            Moves::Processes => list.step(by.into()),
        }
    }

    /// Does what a key asks for below the table of processes.
    fn deeper(&mut self, action: Action) {
        if !self.help.is_open() {
            let session = shown(self.held.as_ref(), &self.session);
            self.depth.act(action, session, &self.info);
        }
    }

    /// What the keys for moving move.
    fn moves(&self) -> Moves {
        match self.layout {
            _ if self.help.is_open() => Moves::Help,
            Layout::Events => Moves::Log,
            _ if !self.is_table() => Moves::Depth,
            Layout::Both | Layout::Processes => Moves::Processes,
        }
    }

    fn header(&self, width: u16) -> Vec<ratatui::text::Line<'static>> {
        let waiting = self.held.as_ref().map(|held| self.session.events() - held.events());
        let facts = Facts {
            info: &self.info,
            session: &self.session,
            own: self.own,
            progress: self.progress.as_ref(),
            waiting,
            position: self.processes.position(),
        };
        header::lines(facts, self.theme, width)
    }

    /// Gives every widget its room; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, screen: Rect) {
        let header = self.header(screen.width).len();
        self.areas = Areas::share(screen, header, self.depth.areas(self.layout));
        self.processes.make_fit(self.areas.table);
        let session = shown(self.held.as_ref(), &self.session);
        self.depth.make_fit(session, self.areas.table);
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
        let Areas { header, table, log, hints } = self.areas;
        let session = shown(self.held.as_ref(), &self.session);
        header::render(&self.header(header.width), header, buffer);
        if self.is_table() {
            self.processes.render(self.theme, table, buffer);
        } else if !table.is_empty() {
            let is_held = self.held.is_some();
            self.depth.render(session, &self.info, is_held, self.theme, buffer);
        }
        self.log.render(session, self.info.start, self.theme, log, buffer);
        if let Some(prompt) = &self.prompt {
            prompt.render(self.theme, hints, buffer);
        } else {
            let replay: &[_] = if self.info.is_replay { &[keys::REPLAY] } else { &[] };
            let groups = [self.depth.keys(), replay].concat();
            hints::render(self.theme, &groups, hints, buffer);
        }
        self.help.render(self.theme, screen, buffer);
    }
}

enum Moves {
    Help,
    Log,
    Processes,
    /// What is open below them.
    Depth,
}

/// What is to be seen: the session, or, while the view is paused, what it was then.
fn shown<'a>(held: Option<&'a Session>, session: &'a Session) -> &'a Session {
    held.unwrap_or(session)
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
