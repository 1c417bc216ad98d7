//! Replays a trace: the same inputs as live, at the pace of then, or of whoever looks.

mod clock;
mod player;

pub use self::{
    clock::SPEEDS,
    player::{Player, Source},
};
