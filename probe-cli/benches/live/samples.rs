//! What was measured, and what follows from it.

use std::time::Duration;

use super::{operations, spread::Spread, watchers};

/// ns of CPU time for one operation, by setting, kind and batch; the last kind is the whole batch.
#[derive(Default)]
pub(crate) struct Samples {
    own: [Vec<Vec<f64>>; watchers::ALL.len()],
    /// What the watcher itself took during a batch, in ns.
    watcher: [Vec<f64>; watchers::ALL.len()],
}

impl Samples {
    /// Adds a batch in a setting: what each kind took, in ns, and the CPU time of the watcher before and after.
    pub(crate) fn add(
        &mut self,
        setting: usize,
        batch: &[f64],
        watcher: Option<(Duration, Duration)>,
    ) {
        let rows = &mut self.own[setting];
        rows.resize(operations::ALL.len() + 1, Vec::new());
        let whole = batch.iter().sum();
        for ((row, took), operation) in rows.iter_mut().zip(batch).zip(&operations::ALL) {
            row.push(took / count(operation.count));
        }
        rows[operations::ALL.len()].push(whole);
        let (before, after) = watcher.unwrap_or_default();
        self.watcher[setting].push(after.saturating_sub(before).as_secs_f64() * 1e9);
    }

    /// What an operation takes in a setting.
    pub(crate) fn takes(&self, setting: usize, kind: usize) -> Spread {
        Spread::of(self.own[setting][kind].clone())
    }

    /// What the setting adds to an operation, in ns, batch by batch.
    pub(crate) fn adds(&self, setting: usize, kind: usize) -> Spread {
        Spread::of(self.added(setting, kind).collect())
    }

    /// The same in percent of what it takes with nothing attached.
    pub(crate) fn percent(&self, setting: usize, kind: usize) -> Spread {
        let bare = &self.own[0][kind];
        Spread::of(
            self.added(setting, kind).zip(bare).map(|(ns, bare)| ns / bare * 100.0).collect(),
        )
    }

    /// How many times as much one setting adds as another one does.
    pub(crate) fn ratio(&self, setting: usize, to: usize, kind: usize) -> Spread {
        let both = self.added(setting, kind).zip(self.added(to, kind));
        Spread::of(both.map(|(one, other)| one / other).collect())
    }

    /// What the watcher itself takes for a batch, in ns.
    pub(crate) fn watcher(&self, setting: usize) -> Spread {
        Spread::of(self.watcher[setting].clone())
    }

    fn added(&self, setting: usize, kind: usize) -> impl Iterator<Item = f64> {
        let both = self.own[setting][kind].iter().zip(&self.own[0][kind]);
        both.map(|(with, bare)| with - bare)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}
