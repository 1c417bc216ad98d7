//! A line to type in: what to look for in a trace, or where to go.

use ratatui::{
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    layout::Rect,
    text::{Line, Span},
};

use super::{feed::Control, theme::Theme};
use crate::text::{Align, fit, width};

/// What is being typed.
#[derive(Debug)]
pub(super) struct Prompt {
    what: What,
    text: String,
    /// What was wrong with the text before.
    wrong: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Find,
    GoTo,
}

/// What a key made of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// It goes on.
    More,
    /// It was given up.
    Nothing,
    /// The view ends.
    Quit,
    /// It is done.
    Done(Control),
}

/// Nobody looks for more than this, in bytes.
const LONGEST: usize = 256;

impl Prompt {
    /// For a text.
    pub(super) fn find() -> Self {
        Self { what: What::Find, text: String::new(), wrong: false }
    }

    /// For seconds.
    pub(super) fn go_to() -> Self {
        Self { what: What::GoTo, text: String::new(), wrong: false }
    }

    /// Takes in a key.
    pub(super) fn take(&mut self, key: &KeyEvent) -> Typed {
        if key.kind == KeyEventKind::Release {
            return Typed::More;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Typed::Quit,
            KeyCode::Esc => Typed::Nothing,
            KeyCode::Enter if self.text.is_empty() => Typed::Nothing,
            KeyCode::Enter => {
                let control = self.done();
                self.wrong = control.is_none();
                control.map_or(Typed::More, Typed::Done)
            }
            KeyCode::Backspace => {
                self.text.pop();
                Typed::More
            }
            KeyCode::Char(letter) if self.text.len() < LONGEST && !letter.is_control() => {
                self.text.push(letter);
                self.wrong = false;
                Typed::More
            }
            _ => Typed::More,
        }
    }

    fn done(&self) -> Option<Control> {
        match self.what {
            What::Find => Some(Control::Find(self.text.clone())),
            What::GoTo => {
                let seconds = self.text.trim().parse::<f64>().ok()?;
                let time = std::time::Duration::try_from_secs_f64(seconds).ok()?;
                Some(Control::To(u64::try_from(time.as_nanos()).ok()?))
            }
        }
    }

    /// Draws it; the end of a long text is what shows.
    pub(super) fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let label = match self.what {
            What::Find => "find: ",
            What::GoTo if self.wrong => "seconds, such as 12.5: ",
            What::GoTo => "go to second: ",
        };
        let room = usize::from(area.width).saturating_sub(width(label) + 1);
        let mut shown = self.text.as_str();
        while width(shown) > room {
            let mut rest = shown.chars();
            rest.next();
            shown = rest.as_str();
        }
        let shown = fit(shown, width(shown), Align::Left);
        let line = Line::from(vec![
            Span::styled(label, theme.key()),
            Span::raw(shown),
            Span::styled("▏", theme.notice()),
        ]);
        if !area.is_empty() {
            buffer.set_line(area.x, area.y, &line, area.width);
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{
        buffer::Buffer,
        crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
        layout::Rect,
    };

    use super::{Control, Prompt, Theme, Typed};

    fn typed(mut prompt: Prompt, text: &str) -> Typed {
        for letter in text.chars() {
            let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE);
            assert_eq!(prompt.take(&key), Typed::More);
        }
        for width in 0..20 {
            let area = Rect::new(0, 0, width, 1);
            prompt.render(Theme::new(false), area, &mut Buffer::empty(area));
        }
        prompt.take(&KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE))
    }

    #[test]
    fn texts_and_seconds_are_typed() {
        let find = Control::Find("pmd_split 表".to_owned());
        assert_eq!(typed(Prompt::find(), "pmd_split 表"), Typed::Done(find));
        assert_eq!(typed(Prompt::go_to(), "1.5"), Typed::Done(Control::To(1_500_000_000)));
        for wrong in ["x", "-1", "1e30", "nan"] {
            assert_eq!(typed(Prompt::go_to(), wrong), Typed::More, "{wrong}");
        }
        assert_eq!(typed(Prompt::go_to(), ""), Typed::Nothing);
    }

    #[test]
    fn letters_are_taken_back_and_all_is_given_up() {
        let mut prompt = Prompt::find();
        let press = |code| KeyEvent::new(code, KeyModifiers::NONE);
        for code in [KeyCode::Char('a'), KeyCode::Char('q'), KeyCode::Backspace] {
            assert_eq!(prompt.take(&press(code)), Typed::More);
        }
        assert_eq!(prompt.text, "a");
        assert_eq!(prompt.take(&press(KeyCode::Esc)), Typed::Nothing);
    }
}
