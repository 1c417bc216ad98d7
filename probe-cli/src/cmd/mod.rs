//! The subcommands, one file each.

pub mod bench;
pub mod check;
pub mod diff;
pub mod doctor;
pub mod exec;
pub mod export;
mod guest;
pub mod lab;
pub mod maps;
pub mod replay;
pub mod schema;
mod select;
pub mod slow;
mod space;
pub mod stats;
mod target;
pub mod top;
pub mod trace;
pub mod walks;
pub mod why;
pub mod workload;

use std::time::Duration;

/// A number of seconds on the command line.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds above 0 is wanted, such as 10 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_checked() {
        assert!(seconds("0.5").is_ok() && seconds("0").is_err() && seconds("nan").is_err());
        assert!(seconds("1e300").is_err() && seconds("-1").is_err() && seconds("x").is_err());
    }
}
