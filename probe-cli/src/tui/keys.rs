//! The keys: one table, from which the hints, the help and `docs/keys.md` are made.

use std::fmt::Write as _;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Help,
    Pause,
    Layout,
    Back,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    SortLeft,
    SortRight,
    Reverse,
    Left,
    Right,
    PanLeft,
    PanRight,
    ZoomIn,
    ZoomOut,
    ZoomWhole,
    LastChange,
    Compare,
    CountAnew,
    Step,
    Faster,
    Slower,
    Backward,
    Forward,
    GoTo,
    Find,
    FindAgain,
}

/// A key, perhaps with Ctrl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) code: KeyCode,
    pub(super) ctrl: bool,
}

/// Keys that do the same, and what that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    pub(super) group: &'static str,
    pub(super) keys: &'static [Key],
    pub(super) action: Action,
    /// One word for the line of hints; none: not shown there.
    pub(super) hint: Option<&'static str>,
    /// One sentence for the help.
    pub(super) help: &'static str,
}

const fn key(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

const fn letter(letter: char) -> Key {
    key(KeyCode::Char(letter))
}

const fn ctrl(letter: char) -> Key {
    Key { code: KeyCode::Char(letter), ctrl: true }
}

/// The headings of the groups.
pub(super) const GENERAL: &str = "Everywhere";
pub(super) const TABLES: &str = "Tables of processes, VMAs and walkers";
pub(super) const VMA: &str = "One VMA";
pub(super) const WALKERS: &str = "Walkers compared";
pub(super) const REPLAY: &str = "Replay of a trace";
const MOVING: &str = "Moving";

/// Every key, in the order in which the hints and the help show them.
pub(super) const BINDINGS: &[Binding] = &[
    Binding {
        group: GENERAL,
        keys: &[letter('?'), letter('h'), key(KeyCode::F(1))],
        action: Action::Help,
        hint: Some("help"),
        help: "Show or hide this help.",
    },
    Binding {
        group: GENERAL,
        keys: &[letter('q'), ctrl('c')],
        action: Action::Quit,
        hint: Some("quit"),
        help: "Quit.",
    },
    Binding {
        group: GENERAL,
        keys: &[letter('c')],
        action: Action::Compare,
        hint: Some("compare"),
        help: "Compare the walkers on both paths, or go back. The first time they are attached to, which makes walks slower until the end.",
    },
    Binding {
        group: GENERAL,
        keys: &[letter('p'), letter(' ')],
        action: Action::Pause,
        hint: Some("pause"),
        help: "Hold what is shown, or go on. Collection never stops; a replay does.",
    },
    Binding {
        group: GENERAL,
        keys: &[letter('l')],
        action: Action::Layout,
        hint: Some("layout"),
        help: "Change the layout: the table and the events, the table only, the events only.",
    },
    Binding {
        group: GENERAL,
        keys: &[key(KeyCode::Esc)],
        action: Action::Back,
        hint: Some("back"),
        help: "Close the help; else back: to the walkers, the VMAs, the processes; else select nothing.",
    },
    Binding {
        group: TABLES,
        keys: &[letter('<'), letter(',')],
        action: Action::SortLeft,
        hint: Some("sort"),
        help: "Sort by the column to the left.",
    },
    Binding {
        group: TABLES,
        keys: &[letter('>'), letter('.')],
        action: Action::SortRight,
        hint: Some("sort"),
        help: "Sort by the column to the right.",
    },
    Binding {
        group: TABLES,
        keys: &[letter('r')],
        action: Action::Reverse,
        hint: Some("reverse"),
        help: "Reverse the order.",
    },
    Binding {
        group: TABLES,
        keys: &[key(KeyCode::Enter)],
        action: Action::Open,
        hint: Some("open"),
        help: "Open the selected process: its VMAs and its events; there, the selected VMA. Of a walker: its histograms and who walks.",
    },
    Binding {
        group: VMA,
        keys: &[letter('+'), letter('=')],
        action: Action::ZoomIn,
        hint: Some("zoom"),
        help: "Show half as much, around the cursor, down to single pages.",
    },
    Binding {
        group: VMA,
        keys: &[letter('-')],
        action: Action::ZoomOut,
        hint: Some("zoom"),
        help: "Show twice as much, around the cursor.",
    },
    Binding {
        group: VMA,
        keys: &[letter('0')],
        action: Action::ZoomWhole,
        hint: Some("all"),
        help: "Show all of the VMA.",
    },
    Binding {
        group: VMA,
        keys: &[key(KeyCode::Left)],
        action: Action::Left,
        hint: Some("cursor"),
        help: "Move the cursor to the left; at the edge the part in view moves.",
    },
    Binding {
        group: VMA,
        keys: &[key(KeyCode::Right)],
        action: Action::Right,
        hint: Some("cursor"),
        help: "Move the cursor to the right.",
    },
    Binding {
        group: VMA,
        keys: &[letter('[')],
        action: Action::PanLeft,
        hint: Some("pan"),
        help: "Move the part in view to the left, by half of it.",
    },
    Binding {
        group: VMA,
        keys: &[letter(']')],
        action: Action::PanRight,
        hint: Some("pan"),
        help: "Move the part in view to the right, by half of it.",
    },
    Binding {
        group: VMA,
        keys: &[letter('n')],
        action: Action::LastChange,
        hint: Some("last change"),
        help: "Put the cursor on what changed last.",
    },
    Binding {
        group: WALKERS,
        keys: &[letter('a')],
        action: Action::CountAnew,
        hint: Some("count anew"),
        help: "Count from now on: what was counted before is left out.",
    },
    Binding {
        group: REPLAY,
        keys: &[letter('s')],
        action: Action::Step,
        hint: Some("step"),
        help: "To the next event, and pause there.",
    },
    Binding {
        group: REPLAY,
        keys: &[letter('d')],
        action: Action::Slower,
        hint: Some("speed"),
        help: "Half as fast.",
    },
    Binding {
        group: REPLAY,
        keys: &[letter('f')],
        action: Action::Faster,
        hint: Some("speed"),
        help: "Twice as fast.",
    },
    Binding {
        group: REPLAY,
        keys: &[letter('b')],
        action: Action::Backward,
        hint: Some("10s"),
        help: "Ten seconds back: the trace is read again from its beginning.",
    },
    Binding {
        group: REPLAY,
        keys: &[letter('w')],
        action: Action::Forward,
        hint: Some("10s"),
        help: "Ten seconds forward.",
    },
    Binding {
        group: REPLAY,
        keys: &[letter('t')],
        action: Action::GoTo,
        hint: Some("go to"),
        help: "To a moment: type the seconds since the beginning, and Enter.",
    },
    Binding {
        group: REPLAY,
        keys: &[letter('/')],
        action: Action::Find,
        hint: Some("find"),
        help: "To the next event whose line has a text: a probe, a name, an address. Type it, and Enter.",
    },
    Binding {
        group: REPLAY,
        keys: &[letter(';')],
        action: Action::FindAgain,
        hint: Some("again"),
        help: "To the next event with the same text.",
    },
    Binding {
        group: MOVING,
        keys: &[key(KeyCode::Up), letter('k')],
        action: Action::Up,
        hint: None,
        help: "One row up: in the table, among the operations on a VMA, or the events when only they are shown.",
    },
    Binding {
        group: MOVING,
        keys: &[key(KeyCode::Down), letter('j')],
        action: Action::Down,
        hint: None,
        help: "One row down. The selection follows its process, VMA or walker when the order changes.",
    },
    Binding {
        group: MOVING,
        keys: &[key(KeyCode::PageUp)],
        action: Action::PageUp,
        hint: None,
        help: "One page up.",
    },
    Binding {
        group: MOVING,
        keys: &[key(KeyCode::PageDown)],
        action: Action::PageDown,
        hint: None,
        help: "One page down.",
    },
    Binding {
        group: MOVING,
        keys: &[key(KeyCode::Home), letter('g')],
        action: Action::First,
        hint: None,
        help: "To the first row.",
    },
    Binding {
        group: MOVING,
        keys: &[key(KeyCode::End), letter('G')],
        action: Action::Last,
        hint: None,
        help: "To the last row; among events, follow the newest again.",
    },
];

/// What a key event asks for, if anything.
pub(super) fn lookup(event: &KeyEvent) -> Option<Action> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let pressed = Key { code: event.code, ctrl: event.modifiers.contains(KeyModifiers::CONTROL) };
    BINDINGS.iter().find(|binding| binding.keys.contains(&pressed)).map(|binding| binding.action)
}

impl Key {
    /// What is written on the key.
    pub(super) fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(letter) if self.ctrl => letter.to_uppercase().to_string(),
            KeyCode::Char(letter) => letter.to_string(),
            KeyCode::Up => "↑".to_owned(),
            KeyCode::Down => "↓".to_owned(),
            KeyCode::Left => "←".to_owned(),
            KeyCode::Right => "→".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            code => code.to_string(),
        };
        if self.ctrl { format!("Ctrl-{name}") } else { name }
    }
}

impl Binding {
    /// All its keys: `q, Ctrl-C`.
    pub(super) fn names(&self) -> String {
        self.keys.iter().map(|key| key.name()).collect::<Vec<_>>().join(", ")
    }
}

/// The bindings by group: the groups as they come, each with its heading.
pub(super) fn groups() -> impl Iterator<Item = (&'static str, &'static [Binding])> {
    BINDINGS.chunk_by(|one, next| one.group == next.group).map(|group| (group[0].group, group))
}

/// The page about the keys, in Markdown: `docs/keys.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Keys of `walkprobe top`\n\n\
         <!-- Made from the key table in probe-cli/src/tui/keys.rs: \
         UPDATE_DOCS=1 cargo test -p walkprobe keys -->\n",
    );
    for (group, bindings) in groups() {
        let _ = write!(page, "\n## {group}\n\n| Keys | What they do |\n|---|---|\n");
        for binding in bindings {
            let keys: Vec<_> = binding.keys.iter().map(|key| format!("`{}`", key.name())).collect();
            let _ = writeln!(page, "| {} | {} |", keys.join(" "), binding.help);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::{BINDINGS, groups, lookup, page};

    fn press(key: super::Key) -> KeyEvent {
        let ctrl = if key.ctrl { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        KeyEvent::new(key.code, ctrl)
    }

    #[test]
    fn every_key_is_found_and_has_help() {
        for binding in BINDINGS {
            assert!(binding.help.ends_with('.'), "{binding:?}");
            assert!(!binding.keys.is_empty(), "{binding:?}");
            for &key in binding.keys {
                assert_eq!(lookup(&press(key)), Some(binding.action), "{key:?}");
            }
        }
    }

    #[test]
    fn no_key_and_no_action_stands_twice() {
        let keys: Vec<_> = BINDINGS.iter().flat_map(|binding| binding.keys).collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{key:?}");
        }
        for (i, binding) in BINDINGS.iter().enumerate() {
            assert!(BINDINGS[..i].iter().all(|other| other.action != binding.action));
        }
        let headings: Vec<_> = groups().map(|(heading, _)| heading).collect();
        let expected = [
            super::GENERAL,
            super::TABLES,
            super::VMA,
            super::WALKERS,
            super::REPLAY,
            super::MOVING,
        ];
        assert_eq!(headings, expected);
    }

    #[test]
    fn shift_is_part_of_the_letter_and_ctrl_is_not() {
        let shifted = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(lookup(&shifted), Some(super::Action::Last));
        assert_eq!(lookup(&KeyEvent::new(KeyCode::Char('q'), KeyModifiers::CONTROL)), None);
    }

    #[test]
    fn the_page_about_the_keys_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keys.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, page()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, page(), "UPDATE_DOCS=1 cargo test -p walkprobe keys rewrites the page");
    }
}
