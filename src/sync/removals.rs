//! How many references were found to be gone of late, and how many may be: the judge's brake.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Over which time removals are counted; a sweep that takes longer counts all of its own.
pub(super) const WINDOW: Duration = Duration::from_hours(1);

/// How many tags, or manifests, may go: the larger of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalLimit {
    /// Of those that are recorded, in per cent.
    pub percent: u8,
    /// Whatever part of the record they are.
    pub always: u64,
}

/// A removal that is counted, unless nothing came of it.
#[derive(Debug)]
pub(super) struct Counted {
    counts: Arc<Mutex<Counts>>,
    kind: Kind,
    at: Instant,
    is_recorded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tag,
    Manifest,
}

/// Removals that were believed, oldest first.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub tags: VecDeque<Instant>,
    pub manifests: VecDeque<Instant>,
    /// When the sweep that is running began.
    pub sweep: Option<Instant>,
}

impl RemovalLimit {
    /// How many may go of so many.
    pub fn of(self, recorded: u64) -> u64 {
        let part = u128::from(recorded) * u128::from(self.percent) / 100;
        u64::try_from(part).unwrap_or(u64::MAX).max(self.always)
    }
}

/// Locks them, whatever a panic has left.
pub(super) fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    pub(super) fn of(&mut self, kind: Kind) -> &mut VecDeque<Instant> {
        match kind {
            Kind::Tag => &mut self.tags,
            Kind::Manifest => &mut self.manifests,
        }
    }

    /// How many went within the window.
    pub(super) fn within(&mut self, kind: Kind, now: Instant) -> u64 {
        let sweep = self.sweep;
        let is_past =
            |at: &Instant| now.duration_since(*at) > WINDOW && sweep.is_none_or(|began| *at < began);
        let times = self.of(kind);
        while times.front().is_some_and(is_past) {
            times.pop_front();
        }
        times.len() as u64
    }
}

impl Counted {
    /// One that was counted at this time.
    pub(super) fn new(counts: &Arc<Mutex<Counts>>, kind: Kind, at: Instant) -> Self {
        Self { counts: Arc::clone(counts), kind, at, is_recorded: false }
    }

    /// The removal is recorded.
    pub(super) fn recorded(mut self) {
        self.is_recorded = true;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.is_recorded {
            let mut counts = lock(&self.counts);
            let times = counts.of(self.kind);
            if let Some(place) = times.iter().rposition(|at| *at == self.at) {
                times.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_record_may_go_and_fifty_in_any_case() {
        let limit = |percent| RemovalLimit { percent, always: 50 };
        let most = [0, 10, 499, 500, 501, 10_000].map(|recorded| limit(10).of(recorded));
        assert_eq!(most, [50, 50, 50, 50, 50, 1_000]);
        assert_eq!(limit(0).of(10_000), 50);
        assert_eq!(limit(100).of(u64::MAX), u64::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn removals_count_for_an_hour_and_those_of_a_long_sweep_until_its_end() {
        let mut counts = Counts::default();
        let begun = Instant::now();
        counts.tags.push_back(begun);
        assert_eq!(counts.within(Kind::Tag, begun + WINDOW), 1);
        assert_eq!(counts.within(Kind::Tag, begun + WINDOW * 2), 0);
        counts.sweep = Some(begun);
        counts.tags.push_back(begun);
        assert_eq!(counts.within(Kind::Tag, begun + WINDOW * 9), 1);
        counts.sweep = None;
        assert_eq!(counts.within(Kind::Tag, begun + WINDOW * 9), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_recorded_after_all_does_not_count() {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let at = Instant::now();
        for is_recorded in [false, true] {
            lock(&counts).tags.push_back(at);
            let counted = Counted { counts: Arc::clone(&counts), kind: Kind::Tag, at, is_recorded: false };
            if is_recorded {
                counted.recorded();
            }
        }
        assert_eq!(lock(&counts).within(Kind::Tag, at), 1);
    }
}
