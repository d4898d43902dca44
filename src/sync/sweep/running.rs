//! One sweep, from its beginning to its end.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, MissedTickBehavior};

use super::checkpoint::Checkpoint;
use super::gauges;
use super::place::Place;
use super::progress::{CatalogEnd, CatalogState, FinishedSweep, Outcome, Phase, Progress};
use super::questions::Abort;
use super::schedule::Sweeper;
use super::state::{Activity, Kept, encode};
use super::walk::{Open, Walk};
use crate::store::{BegunSweep, Missing, StoreError, SweepKind};
use crate::sync::listing::{KeptMarks, Marks};
use crate::telemetry::FailureLog;

/// How often it is shown how far a sweep is.
const SHOW_EVERY: Duration = Duration::from_secs(1);

impl Sweeper {
    /// One sweep to its end, or on to its end from where it was cut.
    pub(super) async fn sweep(&self, begun: &BegunSweep, place: &mut Place) -> FinishedSweep {
        let questions = &self.questions;
        if !place.prepare(begun, questions.registry.now())
            && let Err(error) = self.forget_the_last(place).await
        {
            tracing::warn!(%error, "what was kept of the last sweep cannot be forgotten");
        }
        let progress = self.begin(begun, &place.checkpoint).await;
        questions.limit.begin();
        questions.judge.sweep_begins();
        let walked = AssertUnwindSafe(self.walk(&progress, place)).catch_unwind().await;
        questions.judge.sweep_ends();
        let (now, held) = (questions.registry.now(), questions.store.missing());
        let is_cut = matches!(walked, Ok(Err(Abort::Store(StoreError::Fenced))));
        let finished = match walked {
            Ok(Ok(catalog)) => progress.finished(Ok(catalog), held, now),
            Ok(Err(abort)) => progress.finished(Err(abort.to_string()), held, now),
            Err(_panic) => {
                tracing::error!(
                    number = begun.number,
                    "a sweep panicked, which is a mistake in this program; it is tried again"
                );
                // Nobody knows whether it is right.
                (place.checkpoint.running, place.marks) = (None, KeptMarks::default());
                progress.finished(Err("the sweep panicked, as the log tells".to_owned()), held, now)
            }
        };
        tell(&finished, &self.failures);
        if is_cut {
            // It goes on, here or at another door.
            self.note(|state| state.running = None);
        } else {
            self.end(&finished, place).await;
        }
        finished
    }

    /// Walks through everything, and shows how far it is.
    async fn walk(&self, progress: &Progress, place: &mut Place) -> Result<CatalogEnd, Abort> {
        let mut walk = Walk {
            questions: &self.questions,
            progress,
            marks: &mut place.marks,
            checkpoint: &mut place.checkpoint,
            kept: Instant::now(),
            catalog: CatalogEnd::default(),
            listed: Marks::default(),
            open: Open::default(),
            open_page: None,
        };
        tokio::select! {
            biased;
            walked = walk.run() => walked,
            never = self.show(progress) => match never {},
        }
    }

    /// Shows how far a sweep is, until it is dropped.
    async fn show(&self, progress: &Progress) -> Infallible {
        let mut ticks = tokio::time::interval(SHOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let running = progress.running();
            gauges::show(&running, self.questions.limit.concurrency());
            self.show_others(&Activity { running: Some(running), next_at: None }).await;
        }
    }

    async fn forget_the_last(&self, place: &mut Place) -> Result<(), StoreError> {
        let lease = self.questions.lease.held()?;
        self.questions.store.keep_sweep(lease, place.checkpoint.update(&mut place.marks, true)).await
    }

    async fn begin(&self, begun: &BegunSweep, checkpoint: &Checkpoint) -> Arc<Progress> {
        let known = self.questions.store.statistics().await.ok().map(|statistics| statistics.repositories);
        let position = checkpoint.running.as_ref();
        let progress = Arc::new(Progress::new(
            begun.number,
            begun.kind,
            position.map_or_else(|| self.questions.registry.now(), |position| position.started),
            position.map_or(Phase::Catalog, |position| position.phase),
            position.map(|position| position.counts),
            known.filter(|known| *known > 0),
        ));
        tracing::info!(
            number = begun.number,
            kind = ?begun.kind,
            resumed = position.is_some(),
            "a sweep begins"
        );
        self.note(|state| (state.running, state.next) = (Some(Arc::clone(&progress)), None));
        progress
    }

    /// Keeps how a sweep ended, and what outlives it.
    async fn end(&self, finished: &FinishedSweep, place: &mut Place) {
        let Place { checkpoint, marks, .. } = place;
        if finished.outcome != Outcome::Failed {
            (checkpoint.running, *marks) = (None, KeptMarks::default());
            if finished.kind == SweepKind::Deep {
                checkpoint.last_deep = Some(finished.ended_at);
            }
            if finished.outcome == Outcome::Complete && finished.catalog == CatalogState::Listed {
                checkpoint.last_complete = Some(finished.ended_at);
            }
        }
        let past = self.past_sweeps().with(finished);
        let kept = Kept { last: finished.clone(), past };
        let update = checkpoint.update(marks, checkpoint.running.is_none());
        let ended = match self.questions.lease.held() {
            Ok(lease) => self.questions.store.end_sweep(lease, finished.number, update, encode(&kept)).await,
            Err(error) => Err(error),
        };
        if checkpoint.last_complete.is_some() && ended.is_ok() {
            self.completeness.note();
        }
        if let Err(error) = &ended {
            tracing::warn!(%error, "the end of a sweep cannot be kept; some of it may be done again");
        }
        self.note(|state| {
            state.running = None;
            // Without the lease it has not ended: it goes on at another door.
            if !matches!(ended, Err(StoreError::Fenced)) {
                state.kept = Some(kept);
            }
        });
    }
}

/// Tells in log and metrics how a sweep ended. Sweeps that fail one after the other for the same reason are said once.
fn tell(finished: &FinishedSweep, failures: &FailureLog) {
    let FinishedSweep { number, kind, outcome, cause, repositories, tags, found, problem_count, .. } =
        finished;
    if *outcome == Outcome::Failed {
        if failures.failed(&cause.as_deref().unwrap_or_default()) {
            tracing::warn!(number, ?kind, cause, repositories, tags, found, "a sweep came to no end");
        }
    } else {
        failures.worked();
        tracing::info!(
            number,
            ?kind,
            ?outcome,
            repositories,
            tags,
            found,
            problem_count,
            "a sweep has ended"
        );
    }
    if !finished.held.is_none() {
        let Missing { tags, manifests } = finished.held;
        tracing::warn!(
            tags,
            manifests,
            "the registry denies much of what is recorded, and the door did not delete it; it stays in the record \
             until the registry has it again, its removal is accepted (portreeve sync --accept-removals), or \
             sync.removal_patience is over. Is the registry's storage there?"
        );
    }
    gauges::count(finished);
}
