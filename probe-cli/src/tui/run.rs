//! The loop: keys first, then the feed's share of the frame, then the frame.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use ratatui::crossterm::event::{self, Event};

use super::{
    Feed, Info, Options,
    app::{App, Effect},
    feed::{Left, Pump},
    keys,
    own::OwnCost,
    terminal::Taken,
};
use crate::stop::Stop;

/// The longest that the loop sleeps; keys wake it at once.
const FRAME: Duration = Duration::from_millis(100);

/// The longest that a frame spends on taking in events, so that a key is answered within one
/// frame whatever the load.
const BUDGET: Duration = Duration::from_millis(20);

/// Shows the view until the user or `stop` ends it, or the feed fails. The terminal is as
/// before and the feed is dropped when this returns.
///
/// # Errors
/// When standard output is no terminal, the terminal fails, or the feed does.
pub fn run(feed: Box<dyn Feed + Send>, info: Info, options: Options, stop: &Stop) -> Result<()> {
    let mut app = App::new(info, options);
    let mut terminal = Taken::take()?;
    let mut pump = Pump::start(feed)?;
    let shown = show(&mut app, &mut terminal, &mut pump, stop);
    drop(terminal);
    // The feed's own error tells more than what the view makes of its end.
    pump.finish()?;
    match shown {
        // A terminal that has gone away fails before its SIGHUP arrives.
        Err(_) if stop.requested() => Ok(()),
        shown => shown.context("the terminal failed"),
    }
}

fn show(app: &mut App, terminal: &mut Taken, pump: &mut Pump, stop: &Stop) -> io::Result<()> {
    let mut own = OwnCost::start();
    let mut left = Left::Nothing;
    let mut changed = true;
    let mut is_answer = true;
    let mut drawn = Instant::now();
    loop {
        // Drawing must not take the time of the events that wait, where a terminal is slow.
        if changed && (is_answer || left != Left::More || drawn.elapsed() >= FRAME) {
            terminal.get()?.draw(|frame| {
                app.make_fit(frame.area());
                app.render(frame.area(), frame.buffer_mut());
            })?;
            drawn = Instant::now();
            changed = false;
        }
        let wait = if left == Left::More { Duration::ZERO } else { FRAME };
        is_answer = event::poll(wait)?;
        if is_answer {
            if answer(app, pump)? == Effect::Quit {
                return Ok(());
            }
            changed = true;
        }
        if stop.requested() {
            return Ok(());
        }
        left = pump.drain(BUDGET, |input| {
            app.take(input);
            changed = true;
        });
        if left == Left::Ended {
            return Ok(());
        }
        if own.measure() {
            app.set_own_cost(own.share());
            changed = true;
        }
    }
}

/// Answers everything that has been typed.
fn answer(app: &mut App, pump: &Pump) -> io::Result<Effect> {
    loop {
        if let Event::Key(key) = event::read()? {
            let effect = match keys::lookup(&key) {
                _ if app.is_typing() => app.write(&key),
                Some(action) => app.act(action),
                None => Effect::Continue,
            };
            match effect {
                Effect::Continue => {}
                Effect::Ask(request) => pump.ask(request),
                Effect::Quit => return Ok(Effect::Quit),
            }
        }
        if !event::poll(Duration::ZERO)? {
            return Ok(Effect::Continue);
        }
    }
}
