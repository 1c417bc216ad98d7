//! A trace of five events, one each second, is played.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{Player, Source};
use crate::{
    input::{Input, Pace, Progress, Replay},
    session::Session,
    track::fixture,
    tui::{Control, Feed as _, Request},
};

const SECOND: u64 = 1_000_000_000;

struct Made {
    at: u64,
    restarts: bool,
}

impl Source for Made {
    fn next(&mut self) -> Result<Option<Input>> {
        self.at += 1;
        let address = self.at << 21;
        Ok((self.at <= 5).then(|| fixture::split(self.at * SECOND - 10, address).into()))
    }

    fn restart(&mut self) -> Result<()> {
        if !self.restarts {
            bail!("it comes once");
        }
        self.at = 0;
        Ok(())
    }

    fn at_the_end(&self) -> Option<String> {
        None
    }
}

fn player() -> Player<Made> {
    Player::new(Made { at: 0, restarts: true }, 0, 0)
}

/// Polls until there is nothing to look for; gives the events of the session, and how it goes.
fn settle(player: &mut Player<Made>, session: &mut Session) -> (u64, Progress) {
    loop {
        for input in player.poll(Duration::ZERO).unwrap() {
            session.take(input);
        }
        let progress = player.told.clone().unwrap();
        if progress.pace != Pace::Seeks {
            return (session.events(), progress);
        }
    }
}

fn asked(player: &mut Player<Made>, session: &mut Session, control: Control) -> (u64, Progress) {
    player.ask(Request::Replay(control));
    settle(player, session)
}

#[test]
fn it_steps_goes_and_finds() {
    let (mut player, mut session) = (player().paused(), Session::default());
    assert_eq!(settle(&mut player, &mut session).0, 0);
    let mut ask = |control| {
        let (events, progress) = asked(&mut player, &mut session, control);
        (events, progress.time, progress.pace)
    };
    assert_eq!(ask(Control::Step), (1, SECOND, Pace::Paused));
    assert_eq!(ask(Control::Find("0x600000".to_owned())), (3, 3 * SECOND, Pace::Paused));
    assert_eq!(ask(Control::By(-2)), (1, SECOND, Pace::Paused));
    assert_eq!(ask(Control::To(4 * SECOND + 5)), (4, 4 * SECOND + 5, Pace::Paused));
    assert_eq!(ask(Control::By(i64::MIN)), (0, 0, Pace::Paused));
    assert_eq!(ask(Control::Find("pmd_split".to_owned())), (1, SECOND, Pace::Paused));
    assert_eq!(ask(Control::Find("nothing".to_owned())), (5, 5 * SECOND, Pace::Ended));
    // At the end the key for playing begins anew.
    assert_eq!(ask(Control::Toggle), (0, 0, Pace::Paused));
    assert_eq!(ask(Control::To(u64::MAX)), (5, 5 * SECOND, Pace::Ended));
}

#[test]
fn a_session_after_going_back_is_one_that_never_went_there() {
    let (mut there, mut back) = (Session::default(), Session::default());
    asked(&mut player().paused(), &mut there, Control::To(2 * SECOND));
    let mut player = player().paused();
    asked(&mut player, &mut back, Control::To(5 * SECOND));
    asked(&mut player, &mut back, Control::To(2 * SECOND));
    assert_eq!(format!("{there:?}"), format!("{back:?}"));
}

#[test]
fn it_plays_at_its_pace_and_the_time_goes_on() {
    let (mut player, mut session) = (player(), Session::default());
    let (events, progress) = settle(&mut player, &mut session);
    assert_eq!((events, progress.pace), (0, Pace::Plays));
    for _ in 0..12 {
        player.ask(Request::Replay(Control::Faster));
    }
    // 4096 times as fast: five seconds are over in little more than a millisecond.
    std::thread::sleep(Duration::from_millis(10));
    let (events, progress) = settle(&mut player, &mut session);
    assert_eq!((events, progress.pace, progress.speed), (5, Pace::Ended, 12));
}

#[test]
fn what_comes_once_does_not_go_back() {
    let mut player = Player::new(Made { at: 0, restarts: false }, 0, 0).paused();
    let mut session = Session::default();
    asked(&mut player, &mut session, Control::Step);
    let (events, progress) = asked(&mut player, &mut session, Control::To(0));
    assert_eq!((events, progress.said.as_deref()), (1, Some("it comes once")));
    // What was said is not said for ever.
    assert_eq!(asked(&mut player, &mut session, Control::Step).1.said, None);
    let restarts = player.poll(Duration::ZERO).unwrap();
    assert!(!restarts.contains(&Input::Replay(Replay::Restart)));
}
