//! The event log.

use std::collections::VecDeque;

use probe_common::probe::Probe;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    columns::{Want, places, share},
    rows::name,
    rule,
    theme::Theme,
};
use crate::text::{Align, fit};
use crate::{event::Event, session::Session, units};

/// What the user made of the log.
#[derive(Debug, Default)]
pub(super) struct Log {
    filter: Option<u32>,
    /// The number of the last event in view, counted from the first ever; none: the newest.
    anchor: Option<u64>,
    page: usize,
}

/// The columns: heading, what they ask for, and which side they keep to.
const COLUMNS: [(&str, Want, Align); 6] = [
    ("TIME", Want { min: 9, ideal: 11, importance: 0 }, Align::Right),
    ("PROBE", Want { min: 13, ideal: 20, importance: 2 }, Align::Left),
    ("PROCESS", Want { min: 15, ideal: 24, importance: 1 }, Align::Left),
    ("BY", Want { min: 13, ideal: 24, importance: 3 }, Align::Left),
    ("DETAIL", Want { min: 24, ideal: u16::MAX, importance: 4 }, Align::Left),
    ("TOOK", Want { min: 6, ideal: 6, importance: 5 }, Align::Right),
];

impl Log {
    /// Shows only the events of one process: those of its address space and those that it caused.
    pub(super) fn filter(&mut self, pid: Option<u32>) {
        *self = Self { filter: pid, anchor: None, ..*self };
    }

    /// The process whose events are shown.
    #[cfg(test)]
    pub(super) fn filtered(&self) -> Option<u32> {
        self.filter
    }

    /// Follows the newest event.
    pub(super) fn follow(&mut self) {
        self.anchor = None;
    }

    /// Moves the view by events.
    pub(super) fn step(&mut self, session: &Session, by: isize) {
        let shown: Vec<u64> = self.matching(session).map(|(number, _)| number).collect();
        // The first page stays full.
        let first = self.page.min(shown.len()).saturating_sub(1);
        let Some(last) = shown.len().checked_sub(1) else { return self.follow() };
        let now = self.anchor.map_or(last, |anchor| shown.partition_point(|&n| n < anchor));
        let next = now.clamp(first, last).saturating_add_signed(by).clamp(first, last);
        self.anchor = (next < last).then(|| shown[next]);
    }

    /// Moves the view by pages.
    pub(super) fn page(&mut self, session: &Session, pages: isize) {
        let events = isize::try_from(self.page.max(2) - 1).unwrap_or(isize::MAX);
        self.step(session, pages.saturating_mul(events));
    }

    /// To the oldest event.
    pub(super) fn first(&mut self, session: &Session) {
        self.step(session, isize::MIN);
    }

    /// Tells the log how much room it has; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, area: Rect) {
        self.page = usize::from(area.height.saturating_sub(2));
    }

    fn matching<'a>(
        &self,
        session: &'a Session,
    ) -> impl DoubleEndedIterator<Item = (u64, &'a Event)> {
        let filter = self.filter;
        numbered(session).filter(move |(_, event)| filter.is_none_or(|pid| concerns(event, pid)))
    }

    /// The events in view, the oldest first.
    fn in_view<'a>(&self, session: &'a Session) -> VecDeque<&'a Event> {
        let until = self.anchor.unwrap_or(u64::MAX);
        let mut view = VecDeque::with_capacity(self.page);
        let reaches = |&(number, _): &(u64, &Event)| number <= until;
        for (_, event) in self.matching(session).rev().filter(reaches).take(self.page) {
            view.push_front(event);
        }
        if view.len() < self.page && self.anchor.is_some() {
            // What was in view has left the log: its oldest events take the place.
            return self.matching(session).map(|(_, event)| event).take(self.page).collect();
        }
        view
    }

    /// Draws it: a rule with the title, the headings, the events.
    pub(super) fn render(
        &self,
        session: &Session,
        start: u64,
        theme: Theme,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        if area.is_empty() {
            return;
        }
        rule::render(&self.title(session), theme, area, buffer);
        let widths = widths(area.width);
        let mut line = |y: u16, cells: &[(String, Style)]| {
            for (i, x, width) in places(&widths) {
                let (text, style) = &cells[i];
                let text = fit(text, width.into(), COLUMNS[i].2);
                buffer.set_stringn(area.x + x, y, text, width.into(), *style);
            }
        };
        if area.height > 1 {
            line(area.y + 1, &COLUMNS.map(|(title, ..)| (title.to_owned(), Theme::value())));
        }
        for (y, event) in (area.y + 2..area.bottom()).zip(self.in_view(session)) {
            let texts = cells(event, session, start);
            let styles = [
                theme.quiet(),
                theme.family(event.probe.family()),
                Style::new(),
                if event.by.kernel { theme.notice() } else { Style::new() },
                Style::new(),
                Style::new(),
            ];
            let mut styles = styles.into_iter();
            line(y, &texts.map(|text| (text, styles.next().unwrap_or_default())));
        }
    }

    fn title(&self, session: &Session) -> String {
        let which = match self.filter {
            None => "events".to_owned(),
            Some(pid) => format!("events of {}", whose(pid, known(session, pid))),
        };
        match self.anchor {
            None => which,
            Some(_) => format!("{which}, scrolled back"),
        }
    }
}

/// The events that the session keeps, with their numbers since the first ever.
pub(super) fn numbered(session: &Session) -> impl DoubleEndedIterator<Item = (u64, &Event)> {
    let kept = u64::try_from(session.log().len()).unwrap_or(u64::MAX);
    let first = session.events().saturating_sub(kept);
    let number = move |place: usize| first + u64::try_from(place).unwrap_or(u64::MAX);
    session.log().iter().enumerate().map(move |(place, event)| (number(place), &**event))
}

fn concerns(event: &Event, pid: u32) -> bool {
    event.pid.unwrap_or(0) == pid || event.by.pid == pid && !event.by.kernel
}

fn known(session: &Session, pid: u32) -> &str {
    session.processes().get(&pid).map_or("", |process| process.comm.as_str())
}

fn whose(pid: u32, comm: &str) -> String {
    match pid {
        0 => name(0, comm).to_owned(),
        pid => format!("{pid} {}", name(pid, comm)),
    }
}

/// The width of each column.
pub(super) fn widths(width: u16) -> Vec<u16> {
    share(&COLUMNS.map(|(_, want, _)| want), width)
}

/// One event as plain text.
pub(super) fn plain(event: &Event, session: &Session, start: u64, widths: &[u16]) -> String {
    let cells = cells(event, session, start);
    let cells = places(widths).map(|(i, _, width)| fit(&cells[i], width.into(), COLUMNS[i].2));
    cells.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

/// What each column says about an event.
fn cells(event: &Event, session: &Session, start: u64) -> [String; COLUMNS.len()] {
    let own = event.pid == Some(event.by.pid);
    let pid = event.pid.unwrap_or(0);
    // Its own word is newer than the statistics.
    let comm = if own { event.by.comm.as_str() } else { known(session, pid) };
    let by = match &event.by {
        _ if own => String::new(),
        by if by.kernel => format!("[{}]", by.comm),
        by => whose(by.pid, &by.comm),
    };
    [
        units::seconds_since(start, event.time),
        Probe::name(event.probe).to_owned(),
        whose(pid, comm),
        by,
        event.detail.to_string(),
        event.duration.map_or_else(String::new, units::duration),
    ]
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::{Log, plain, widths};
    use crate::{
        session::{LOG_LEN, Session},
        tui::fixture,
    };

    fn times(log: &Log, session: &Session) -> Vec<u64> {
        log.in_view(session).iter().map(|event| event.time).collect()
    }

    fn log(rows: u16) -> Log {
        let mut log = Log::default();
        log.make_fit(Rect::new(0, 0, 80, rows + 2));
        log
    }

    #[test]
    fn it_follows_the_newest_until_scrolled() {
        let mut session = Session::default();
        let mut log = log(3);
        log.step(&session, -1);
        assert_eq!(times(&log, &session), [0_u64; 0]);
        for time in 0..10 {
            session.event(fixture::split(time, 7));
        }
        assert_eq!(times(&log, &session), [7, 8, 9]);
        log.step(&session, -1);
        session.event(fixture::split(10, 7));
        assert_eq!(times(&log, &session), [6, 7, 8]);
        log.page(&session, -1);
        assert_eq!(times(&log, &session), [4, 5, 6]);
        log.first(&session);
        assert_eq!(times(&log, &session), [0, 1, 2]);
        log.step(&session, 99);
        session.event(fixture::split(11, 7));
        assert_eq!(times(&log, &session), [9, 10, 11]);
    }

    #[test]
    fn what_left_the_log_is_replaced_by_its_oldest() {
        let mut session = Session::default();
        let mut log = log(2);
        for time in 0..5 {
            session.event(fixture::split(time, 7));
        }
        log.first(&session);
        for time in 5..LOG_LEN as u64 + 5 {
            session.event(fixture::split(time, 7));
        }
        assert_eq!(times(&log, &session), [5, 6]);
        log.step(&session, 1);
        assert_eq!(times(&log, &session), [6, 7]);
    }

    #[test]
    fn a_filter_keeps_what_concerns_the_process() {
        let mut session = Session::default();
        session.event(fixture::split(1, 7));
        session.event(fixture::split(2, 8));
        session.event(fixture::collapse(3, 7));
        let mut log = log(5);
        log.filter(Some(7));
        assert_eq!(times(&log, &session), [1, 3]);
        log.filter(None);
        assert_eq!(times(&log, &session), [1, 2, 3]);
    }

    #[test]
    fn the_cause_is_told_when_it_is_another() {
        let session = Session::default();
        let text = plain(&fixture::collapse(3_000_000, 7), &session, 0, &widths(100));
        assert!(text.contains(" 7 ? ") && text.contains("[khugepaged]"), "{text}");
        let text = plain(&fixture::split(3_000_000, 7), &session, 0, &widths(100));
        assert!(text.contains(" 7 worker") && !text.contains('['), "{text}");
    }
}
