//! When sweeps are due: in their intervals, and soon again when one failed.

use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::Checkpoint;
use super::progress::{CatalogState, FinishedSweep, Outcome};
use super::settings::SweepSettings;
use crate::clock::{Backoff, Timestamp};
use crate::store::SweepKind;

/// How soon a sweep that failed is tried again, by how often its kind failed in a row; at most the interval.
const RETRIES: Backoff = Backoff::new(Duration::from_secs(5), Duration::MAX).with_jitter(JITTER);
/// So that several doors drift apart and no interval gets longer.
const JITTER: f64 = 0.1;

/// When the next sweeps are due.
pub(super) struct Timetable {
    shallow: Option<Instant>,
    deep: Option<Instant>,
    /// Sweeps of each kind that failed in a row.
    shallow_failures: u32,
    deep_failures: u32,
    /// Sweeps in a row that could not read the catalog, though they swept what is known.
    catalog_failures: u32,
    settings: SweepSettings,
    random: fastrand::Rng,
}

impl Timetable {
    /// The first sweep is due at once: the one that was cut; else a deep one, unless the last deep one is recent.
    pub(super) fn new(settings: SweepSettings, checkpoint: &Checkpoint, time: Timestamp) -> Self {
        let now = Instant::now();
        let cut = checkpoint.running.as_ref().map(|position| position.kind);
        let deep_is_left = match (cut, checkpoint.last_deep) {
            (Some(SweepKind::Deep), _) | (None, None) => Duration::ZERO,
            (Some(SweepKind::Shallow), None) => settings.interval,
            (_, Some(last)) => settings.deep_interval.saturating_sub(time.since(last)),
        };
        Self {
            shallow: (!settings.interval.is_zero()).then_some(now),
            deep: (!settings.deep_interval.is_zero()).then(|| now + deep_is_left),
            shallow_failures: 0,
            deep_failures: 0,
            catalog_failures: 0,
            settings,
            random: fastrand::Rng::with_seed(settings.seed),
        }
    }

    /// What is due next. A deep sweep does what a shallow one does.
    pub(super) fn next(&self) -> Option<(Instant, SweepKind)> {
        let deep = self.deep.map(|when| (when, SweepKind::Deep));
        let shallow = self.shallow.map(|when| (when, SweepKind::Shallow));
        match (deep, shallow) {
            (Some(deep), Some(shallow)) => Some(if deep.0 <= shallow.0 { deep } else { shallow }),
            (deep, shallow) => deep.or(shallow),
        }
    }

    /// A sweep has ended: when the next ones are due.
    pub(super) fn note(&mut self, finished: &FinishedSweep) {
        if finished.outcome == Outcome::Failed {
            self.failed(finished.kind);
            return;
        }
        self.shallow_failures = 0;
        self.shallow = self.after(self.settings.interval);
        // A good shallow sweep says nothing of how a deep one would fare.
        if finished.kind == SweepKind::Deep {
            self.deep_failures = 0;
            self.deep = self.after(self.settings.deep_interval);
        }
        if finished.catalog == CatalogState::Failed {
            self.look_again();
        } else {
            self.catalog_failures = 0;
        }
    }

    /// A sweep that failed is tried again. The other kind waits as long: it would meet the same, and the retry goes on
    /// where the failed one was. Where retries have become rare, the other kind keeps to its own interval.
    fn failed(&mut self, kind: SweepKind) {
        let SweepSettings { interval, deep_interval, .. } = self.settings;
        match kind {
            SweepKind::Shallow => {
                self.shallow_failures = self.shallow_failures.saturating_add(1);
                let retry = self.retry(self.shallow_failures, interval);
                self.shallow = self.shallow.map(|_| retry);
                let latest = Instant::now() + deep_interval;
                self.deep = self.deep.map(|due| due.max(retry.min(latest)));
            }
            SweepKind::Deep => {
                self.deep_failures = self.deep_failures.saturating_add(1);
                let retry = self.retry(self.deep_failures, deep_interval);
                self.deep = self.deep.map(|_| retry);
                let latest = Instant::now() + interval;
                self.shallow = self.shallow.map(|due| due.max(retry.min(latest)));
            }
        }
    }

    /// The known repositories were swept, but the catalog could not be read: that is tried again soon, by the sweep that
    /// asks least.
    fn look_again(&mut self) {
        self.catalog_failures = self.catalog_failures.saturating_add(1);
        let SweepSettings { interval, deep_interval, .. } = self.settings;
        if interval.is_zero() {
            let retry = self.retry(self.catalog_failures, deep_interval);
            self.deep = self.deep.map(|due| due.min(retry));
        } else {
            let retry = self.retry(self.catalog_failures, interval);
            self.shallow = self.shallow.map(|due| due.min(retry));
        }
    }

    fn retry(&mut self, failures: u32, interval: Duration) -> Instant {
        Instant::now() + RETRIES.up_to(interval).jittered(failures, &mut self.random)
    }

    fn after(&mut self, interval: Duration) -> Option<Instant> {
        (!interval.is_zero())
            .then(|| Instant::now() + interval.mul_f64(1.0 - JITTER * (1.0 - self.random.f64())))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    const SHALLOW: Duration = Duration::from_mins(5);
    const DEEP: Duration = Duration::from_hours(1);

    fn timetable() -> Timetable {
        let concurrency = NonZeroUsize::MIN;
        let settings = SweepSettings { interval: SHALLOW, deep_interval: DEEP, concurrency, seed: 7 };
        Timetable::new(settings, &Checkpoint::default(), Timestamp::from_milliseconds(0))
    }

    fn finished(kind: SweepKind, outcome: Outcome, catalog: CatalogState) -> FinishedSweep {
        let at = Timestamp::from_milliseconds(0);
        FinishedSweep {
            number: 1,
            kind,
            started_at: at,
            ended_at: at,
            outcome,
            cause: None,
            catalog,
            repositories: 0,
            tags: 0,
            found: 0,
            problems: Vec::new(),
            problem_count: 0,
            held: Default::default(),
            unsettled: 0,
        }
    }

    /// What is due next, and in how many seconds, after this has ended now.
    fn next(
        timetable: &mut Timetable,
        kind: SweepKind,
        outcome: Outcome,
        catalog: CatalogState,
    ) -> (SweepKind, f64) {
        timetable.note(&finished(kind, outcome, catalog));
        let (when, kind) = timetable.next().unwrap();
        (kind, when.duration_since(Instant::now()).as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn a_deep_sweep_that_failed_is_what_comes_next_until_its_retries_are_rarer_than_shallow_ones() {
        let mut timetable = timetable();
        for seconds in [5.0, 10.0, 20.0, 40.0, 80.0, 160.0] {
            let (kind, wait) = next(&mut timetable, SweepKind::Deep, Outcome::Failed, CatalogState::Failed);
            assert_eq!(kind, SweepKind::Deep);
            assert!(seconds * 0.9 <= wait && wait <= seconds, "{wait} of {seconds}");
            tokio::time::advance(Duration::from_secs_f64(wait)).await;
        }
        // 320 seconds less a part, and then 640, against an interval of 300.
        next(&mut timetable, SweepKind::Deep, Outcome::Failed, CatalogState::Failed);
        let (kind, wait) = next(&mut timetable, SweepKind::Deep, Outcome::Failed, CatalogState::Failed);
        assert_eq!((kind, wait), (SweepKind::Shallow, SHALLOW.as_secs_f64()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_shallow_sweep_does_not_make_a_deep_one_be_tried_more_often() {
        let mut timetable = timetable();
        for _ in 0..8 {
            next(&mut timetable, SweepKind::Deep, Outcome::Failed, CatalogState::Failed);
        }
        next(&mut timetable, SweepKind::Shallow, Outcome::Complete, CatalogState::Listed);
        timetable.note(&finished(SweepKind::Deep, Outcome::Failed, CatalogState::Failed));
        let wait = timetable.deep.unwrap().duration_since(Instant::now());
        assert!(wait > Duration::from_secs(1_000), "{wait:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn retries_differ_also_where_they_have_become_as_rare_as_the_interval() {
        let mut timetable = timetable();
        let mut waits = Vec::new();
        for _ in 0..20 {
            timetable.note(&finished(SweepKind::Deep, Outcome::Failed, CatalogState::Failed));
            waits.push(timetable.deep.unwrap().duration_since(Instant::now()));
        }
        let waits = &waits[12..];
        assert!(waits.iter().all(|wait| DEEP.mul_f64(0.9) <= *wait && *wait <= DEEP), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_catalog_that_could_not_be_read_is_looked_at_soon_and_less_and_less_often() {
        let mut timetable = timetable();
        for seconds in [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0] {
            let (kind, wait) = next(&mut timetable, SweepKind::Deep, Outcome::Partial, CatalogState::Failed);
            assert_eq!(kind, SweepKind::Shallow);
            assert!(seconds * 0.9 <= wait && wait <= seconds, "{wait} of {seconds}");
        }
    }
}
