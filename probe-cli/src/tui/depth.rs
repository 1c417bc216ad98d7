//! How deep the view is: all processes, the VMAs of one, or one VMA; beside them, the walkers compared.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    Info,
    compare::Compare,
    follows::follows,
    keys::{self, Action},
    order::Order,
    screen::Layout,
    theme::Theme,
    vma::{OneVma, Seen},
    vma_view::totals,
    vmas::Vmas,
};
use crate::{
    session::Session,
    text::{Align, fit, plain},
};

/// What is open. What the user made of a level stays when it is left for the one above.
#[derive(Debug, Default)]
pub(super) struct Depth {
    level: Level,
    pid: u32,
    vmas: Vmas,
    one: Option<OneVma>,
    compare: Compare,
    /// What was open before the walkers.
    before: Level,
    area: Rect,
}

/// How deep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Level {
    /// All processes.
    #[default]
    Processes,
    /// The VMAs of one.
    Process,
    /// One VMA.
    Vma,
    /// The walkers, or one of them.
    Walkers,
}

/// Lines above the table of VMAs.
const TITLES: u16 = 2;

impl Depth {
    /// How deep it is.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// The keys of this level, by the group that the key table has them in.
    pub(super) fn keys(&self) -> &'static [&'static str] {
        match self.level {
            Level::Processes | Level::Process => &[keys::GENERAL, keys::TABLES],
            Level::Vma => &[keys::GENERAL, keys::VMA],
            Level::Walkers => &[keys::GENERAL, keys::WALKERS, keys::TABLES],
        }
    }

    /// The layout after this one: beside one VMA, or the walkers, there is no room for the events.
    pub(super) fn layout(&self, layout: Layout) -> Layout {
        match (self.level, layout) {
            (Level::Vma | Level::Walkers, Layout::Events) => Layout::Both,
            (Level::Vma | Level::Walkers, _) => Layout::Events,
            (_, layout) => layout.next(),
        }
    }

    /// The layout that counts for the areas.
    pub(super) fn areas(&self, layout: Layout) -> Layout {
        match (self.level, layout) {
            (Level::Vma | Level::Walkers, Layout::Both) => Layout::Processes,
            (_, layout) => layout,
        }
    }

    /// The process that is open.
    pub(super) fn process(&self) -> Option<u32> {
        (self.level != Level::Processes).then_some(self.pid)
    }

    /// Opens a process.
    pub(super) fn open(&mut self, pid: u32) {
        if self.pid != pid {
            self.vmas.reset();
            self.pid = pid;
        }
        self.level = Level::Process;
    }

    /// Opens the walkers, or what was open before them.
    pub(super) fn compare(&mut self) {
        if self.level == Level::Walkers {
            self.level = self.before;
        } else {
            self.before = std::mem::replace(&mut self.level, Level::Walkers);
        }
    }

    /// Opens the selected VMA, or walker; where none is, the first one in view.
    pub(super) fn open_selected(&mut self, session: &Session) {
        if self.level == Level::Walkers {
            self.compare.open();
        }
        if self.level != Level::Process {
            return;
        }
        let vma =
            self.vmas.list().choose().and_then(|start| session.known(self.pid)?.vma_at(start));
        if let Some(vma) = vma {
            self.one = Some(OneVma::new(vma.clone()));
            self.level = Level::Vma;
        }
    }

    /// One level up.
    pub(super) fn back(&mut self) {
        if self.level == Level::Walkers {
            if !self.compare.back() {
                self.level = self.before;
            }
            return;
        }
        self.one = None;
        self.level = match self.level {
            Level::Vma => Level::Process,
            Level::Process | Level::Processes | Level::Walkers => Level::Processes,
        };
    }

    /// Does what a key asks for at this level.
    pub(super) fn act(&mut self, action: Action, session: &Session, info: &Info) {
        if self.level == Level::Process {
            match action {
                Action::Up => self.vmas.list().step(-1),
                Action::Down => self.vmas.list().step(1),
                Action::PageUp => self.vmas.list().page(-1),
                Action::PageDown => self.vmas.list().page(1),
                Action::First => self.vmas.list().select(0),
                Action::Last => self.vmas.list().select(usize::MAX),
                Action::SortLeft => self.vmas.sort(Order::left),
                Action::SortRight => self.vmas.sort(Order::right),
                Action::Reverse => self.vmas.sort(Order::reverse),
                _ => {}
            }
        } else if self.level == Level::Walkers {
            self.compare.act(action);
        } else if let (Some(one), Some(seen)) = (&mut self.one, seen(self.pid, session, info)) {
            one.act(action, seen);
        }
    }

    /// Gives every level its room, and takes what is new; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, session: &Session, area: Rect) {
        self.area = area;
        let known = session.known(self.pid);
        match self.level {
            Level::Processes => {}
            Level::Process => {
                self.vmas.refresh(known, session.now());
                self.vmas.make_fit(known, below(area));
            }
            Level::Vma => {
                if let (Some(one), Some(known)) = (&mut self.one, known) {
                    one.make_fit(known, session.now(), area);
                }
            }
            Level::Walkers => self.compare.make_fit(session, area),
        }
    }

    /// Draws the level that is open, below the one of all processes.
    pub(super) fn render(
        &self,
        session: &Session,
        info: &Info,
        is_held: bool,
        theme: Theme,
        buffer: &mut Buffer,
    ) {
        let follows = follows(self.pid, session, info, is_held, theme);
        match (self.level, &self.one, seen(self.pid, session, info)) {
            (Level::Vma, Some(one), Some(seen)) => {
                one.render(seen, &follows, theme, buffer);
            }
            (Level::Process | Level::Vma, _, seen) => {
                self.titles(session, follows, theme, buffer);
                if let Some(seen) = seen {
                    self.vmas.render(seen.known, seen.now, theme, below(self.area), buffer);
                }
            }
            (Level::Walkers, ..) => self.compare.render(session, info, theme, buffer),
            (Level::Processes, ..) => {}
        }
    }

    /// Whose VMAs these are, what they come to, and how the map is kept up to date.
    fn titles(
        &self,
        session: &Session,
        follows: (String, Style),
        theme: Theme,
        buffer: &mut Buffer,
    ) {
        let known = session.known(self.pid);
        let comm = known.map_or("", |map| map.comm());
        let whose = format!("{} {}", self.pid, plain(super::rows::name(self.pid, comm)));
        let title = if known.is_some() {
            let (place, all) = self.vmas.position();
            let place = place.map_or_else(String::new, |place| format!("{place}/"));
            format!("{whose}  VMAs {place}{all}  {}", totals(self.vmas.whole()))
        } else {
            whose
        };
        let lines = [(title, theme.title()), follows];
        let area = self.area;
        for (y, (text, style)) in (area.y..area.bottom()).zip(lines) {
            let text = fit(&text, area.width.into(), Align::Left);
            buffer.set_stringn(area.x, y, text, area.width.into(), style);
        }
    }
}

fn below(area: Rect) -> Rect {
    let titles = TITLES.min(area.height);
    Rect { y: area.y + titles, height: area.height - titles, ..area }
}

fn seen<'a>(pid: u32, session: &'a Session, info: &Info) -> Option<Seen<'a>> {
    let (known, log) = (session.known(pid)?, session.maps().get(&pid)?);
    Some(Seen { known, log, now: session.now(), start: info.start })
}
