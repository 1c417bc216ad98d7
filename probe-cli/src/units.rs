//! Numbers for people.

/// A size in bytes with a binary unit, exact where it is a whole number of units: `2M`, `1.5G`.
#[must_use]
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && size >> (10 * (unit + 1)) != 0 {
        unit += 1;
    }
    let one = 1_u64 << (10 * unit);
    if size.is_multiple_of(one) {
        format!("{}{}", size / one, UNITS[unit])
    } else {
        // One decimal, rounded down: 2047K is 1.9M, never 2.0M.
        let tenths = u128::from(size % one) * 10 / u128::from(one);
        format!("{}.{tenths}{}", size / one, UNITS[unit])
    }
}

/// The same in at most five cells: without the decimal where there are three digits before it.
#[must_use]
pub fn short_bytes(size: u64) -> String {
    let text = bytes(size);
    match text.split_once('.') {
        Some((whole, rest)) if whole.len() > 2 => {
            format!("{whole}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        _ => text,
    }
}

/// How long ago something was, in at most four cells: `0.3s`, `12s`, `5m`, `3h`, `9d`.
#[must_use]
pub fn age(ns: u64) -> String {
    let tenths = ns / 100_000_000;
    match tenths / 10 {
        0..10 => format!("{}.{}s", tenths / 10, tenths % 10),
        seconds @ 10..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}

/// A duration in ns with three significant digits: `950ns`, `1.23µs`, `45.6ms`, `7.00s`.
#[must_use]
pub fn duration(ns: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let ns_float = ns as f64;
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns}ns"),
        1_000..999_500 => (ns_float / 1e3, "µs"),
        999_500..999_500_000 => (ns_float / 1e6, "ms"),
        _ => (ns_float / 1e9, "s"),
    };
    three_digits(value, unit)
}

/// A mean duration in ns, the same but for short ones, which have a decimal: `4.2ns`. Below 0 is 0.
#[must_use]
pub fn mean(ns: f64) -> String {
    if ns < 9.95 {
        return format!("{:.1}ns", ns.max(0.0));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; far below 2^64"
    )]
    let whole = ns.round() as u64;
    duration(whole)
}

/// Seconds since the start, with milliseconds: `11.345`. Both times are in ns.
#[must_use]
pub fn seconds_since(start: u64, time: u64) -> String {
    let ms = time.saturating_sub(start) / 1_000_000;
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// How many times as fast something is, from a power of two: `4`, `1/8`.
#[must_use]
pub fn times(power: i8) -> String {
    let times = 1_u128 << power.unsigned_abs().min(127);
    if power < 0 { format!("1/{times}") } else { times.to_string() }
}

/// A rate per second: `0`, `0.4`, `37`, `1.2k`, `3.4M`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if r <= 0.0 => "0".to_owned(),
        r if r < 9.95 => format!("{r:.1}"),
        r if r < 999.5 => format!("{r:.0}"),
        r if r < 999_500.0 => three_digits(r / 1e3, "k"),
        r => three_digits(r / 1e6, "M"),
    }
}

/// A number of things: exact up to six digits, then with three and a unit: `123456`, `1.23M`.
#[must_use]
pub fn count(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let float = number as f64;
    match number {
        0..1_000_000 => number.to_string(),
        1_000_000..999_500_000 => three_digits(float / 1e6, "M"),
        999_500_000..999_500_000_000 => three_digits(float / 1e9, "G"),
        _ => three_digits(float / 1e12, "T"),
    }
}

fn three_digits(value: f64, unit: &str) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}{unit}"),
        v if v < 99.95 => format!("{v:.1}{unit}"),
        v => format!("{v:.0}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{age, bytes, count, duration, mean, rate, seconds_since, short_bytes};

    #[test]
    fn time_is_seconds_since_the_start() {
        assert_eq!(seconds_since(1_000_000_000, 12_345_678_901), "11.345");
        assert_eq!(seconds_since(2, 1), "0.000");
    }

    #[test]
    fn sizes() {
        for (size, text) in [
            (0, "0"),
            (1023, "1023"),
            (4096, "4K"),
            (2 << 20, "2M"),
            (3 << 29, "1.5G"),
            (2047 << 10, "1.9M"),
            (1025, "1.0K"),
            (u64::MAX, "15.9E"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn short_sizes() {
        for (size, text) in [
            (1023, "1023"),
            (3 << 29, "1.5G"),
            ((99 << 20) + 900_000, "99.8M"),
            ((100 << 20) + 900_000, "100M"),
            ((1024 << 20) - 1, "1023M"),
        ] {
            assert_eq!(short_bytes(size), text);
        }
    }

    #[test]
    fn ages() {
        for (seconds, text) in
            [(0, "0.0s"), (9, "9.0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")]
        {
            assert_eq!(age(seconds * 1_000_000_000), text);
        }
        assert_eq!(age(1_290_000_000), "1.2s");
    }

    #[test]
    fn durations() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_234, "1.23µs"),
            (999_499, "999µs"),
            (999_500, "1.00ms"),
            (45_600_000, "45.6ms"),
            (7_000_000_000, "7.00s"),
        ] {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn counts() {
        for (number, text) in [
            (0, "0"),
            (999_999, "999999"),
            (1_234_567, "1.23M"),
            (45_600_000_000, "45.6G"),
            (7_000_000_000_000, "7.00T"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn rates() {
        for (per_second, text) in
            [(0.0, "0"), (0.42, "0.4"), (37.2, "37"), (1234.0, "1.23k"), (3_400_000.0, "3.40M")]
        {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn means() {
        for (ns, text) in [(-1.0, "0.0ns"), (4.23, "4.2ns"), (9.96, "10ns"), (1234.4, "1.23µs")] {
            assert_eq!(mean(ns), text);
        }
    }
}
