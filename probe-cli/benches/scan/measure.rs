//! Measuring: all readers take turns.

use std::time::Duration;

use anyhow::Result;

use super::{
    ROUNDS, WARM_UP,
    readers::{self, Readers},
    subjects::Made,
};

/// What each reader took in each round; empty for one that cannot be had here.
pub(crate) struct Times {
    pages: f64,
    rounds: Vec<Vec<Duration>>,
}

impl Times {
    /// Lets all readers read a subject.
    pub(crate) fn take(readers: &mut Readers, made: &Made) -> Result<Self> {
        let mut rounds = vec![Vec::new(); readers::ALL.len()];
        for _ in 0..ROUNDS {
            for (reader, times) in readers::ALL.iter().zip(&mut rounds) {
                // The last time counts: then all find their own data in the caches, and not what the
                // one before them has left.
                for _ in 0..WARM_UP {
                    (reader.read)(readers, made)?;
                }
                times.extend((reader.read)(readers, made)?);
            }
        }
        let pages = made.ranges.iter().map(|range| (range.end - range.start) >> 12).sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let pages = pages as f64;
        Ok(Self { pages, rounds })
    }

    /// The median in ns per page of the area.
    pub(crate) fn per_page(&self, reader: usize) -> String {
        let times = self.rounds[reader].iter().map(|took| nanoseconds(*took) / self.pages);
        median(times.collect()).map_or_else(|| "-".to_owned(), |ns| format!("{ns:.2}"))
    }

    /// The median of the ratios to the reader that it is compared with.
    pub(crate) fn ratio(&self, reader: usize) -> String {
        let to = readers::ALL[reader].compared_with;
        if to == reader {
            return "1".to_owned();
        }
        let both = self.rounds[reader].iter().zip(&self.rounds[to]);
        let ratios = both.map(|(took, other)| nanoseconds(*took) / nanoseconds(*other));
        median(ratios.collect()).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}"))
    }
}

pub(crate) fn nanoseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e9
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
