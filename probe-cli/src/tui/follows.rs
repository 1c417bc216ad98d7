//! How the map of a process is kept up to date, in one sentence.

use ratatui::style::Style;

use super::{Info, Scope, theme::Theme};
use crate::{
    session::{Session, Watch},
    text::plain,
    track::log::Transaction,
    units,
};

/// How the map of a process is kept up to date, or why it is not.
pub(super) fn follows(
    pid: u32,
    session: &Session,
    info: &Info,
    is_held: bool,
    theme: Theme,
) -> (String, Style) {
    let watch = session.watch(pid);
    let trouble = watch.and_then(Watch::trouble);
    let Some(map) = session.maps().get(&pid) else {
        return match trouble {
            Some(why) => (format!("no map: {}", plain(why)), theme.alarm()),
            None if pid == 0 => {
                ("the kernel does not tell whose these operations are".to_owned(), theme.notice())
            }
            None if is_held => {
                ("paused: its map had not been read by then".to_owned(), theme.notice())
            }
            None => ("its map is being read".to_owned(), theme.quiet()),
        };
    };
    if map.has_ended() {
        let end = map.transactions().back().map_or(0, Transaction::end);
        let ago = units::age(session.now().saturating_sub(end));
        return (format!("ENDED {ago} ago: this is what was known last"), theme.alarm());
    }
    if let Some(why) = trouble {
        return (format!("not up to date: {}", plain(why)), theme.alarm());
    }
    if !info.is_blind {
        let text = "kept up to date by events; what they mark is read again";
        return (text.to_owned(), theme.quiet());
    }
    let every = watch.and_then(Watch::every);
    let every = every.map_or_else(String::new, |every| format!(" every {}", units::age(every)));
    let why = match info.scope {
        Scope::All => "-p PID follows every change",
        Scope::Chosen => "this kernel does not tell of every change",
    };
    (format!("kept up to date by reading all of it{every}; {why}"), theme.notice())
}
