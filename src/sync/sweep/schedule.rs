//! The running of sweeps, one at a time: those that are due, and those that are asked for.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, Checkpoint};
use super::due::Due;
use super::gauges;
use super::pace::Pace;
use super::paced::PacedTransport;
use super::place::Place;
use super::progress::{CatalogEnd, FinishedSweep, Outcome, Phase, Progress, SweepKind, SweepStatus};
use super::questions::{Abort, Questions};
use super::recording::Recording;
use super::settings::SweepSettings;
use super::state::{Next, State};
use super::walk::{Open, Walk};
use crate::clock::Timestamp;
use crate::registry::{RegistryClient, RegistrySettings, Transport};
use crate::store::{LeaseName, Missing, StoreError};
use crate::sync::Verifier;
use crate::sync::listing::{KeptMarks, Marks};
use crate::sync::membership::{LeaseHolder, TIME_TO_LIVE};

/// After so many sweeps in a row that came to no end, another door may try.
const LET_GO: u32 = 3;

/// Runs the sweeps of one door, one at a time.
pub struct Sweeper {
    questions: Questions,
    settings: SweepSettings,
    state: Mutex<State>,
    requested: Notify,
    numbered_since: Timestamp,
}

impl Sweeper {
    /// A sweeper that asks the registry by this transport. `is_busy` tells whether clients are writing through the door, so
    /// that it makes way for them.
    pub fn new(
        Recording { store, judge, hints, membership }: Recording,
        access: &RegistrySettings,
        transport: Arc<dyn Transport>,
        settings: SweepSettings,
        is_busy: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let pace = Arc::new(Pace::new(settings.concurrency.get(), settings.seed, is_busy));
        let probe = RegistryClient::new(access.clone(), Arc::clone(&transport));
        let paced = Arc::new(PacedTransport::new(transport, Arc::clone(&pace)));
        let registry = Arc::new(RegistryClient::new(access.clone(), paced));
        let lease = Arc::new(LeaseHolder::new(LeaseName::Sweep, membership));
        let verifier = Verifier::new(Arc::clone(&store), Arc::clone(&registry), Arc::clone(&judge))
            .under(Arc::clone(&lease));
        let numbered_since = registry.now();
        Self {
            questions: Questions {
                store,
                lease,
                registry,
                verifier,
                pace,
                judge,
                hints,
                probe,
                looking: tokio::sync::Mutex::default(),
                looked_for_a_cache: AtomicBool::new(false),
            },
            settings,
            state: Mutex::new(State::default()),
            requested: Notify::new(),
            numbered_since,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the sweeps are at.
    pub fn status(&self) -> SweepStatus {
        let state = self.state();
        SweepStatus {
            running: state.running.as_ref().map(|progress| progress.running()),
            last: state.last.clone(),
            next_at: state.next,
            numbered_since: self.numbered_since,
        }
    }

    /// What is held to be missing now is gone, as the operator says: sweeps remove it if the registry still denies it.
    ///
    /// # Errors
    /// When the store cannot keep that.
    pub async fn accept_removals(&self) -> Result<(), StoreError> {
        self.questions.judge.accept_removals().await
    }

    /// When the numbers of this door's sweeps began.
    pub const fn numbered_since(&self) -> Timestamp {
        self.numbered_since
    }

    /// Asks for a sweep that begins from now on; answers its number. One may wait while another runs: who asks for one
    /// meanwhile gets the same, and it is deep if anybody wanted that.
    pub fn request(&self, kind: SweepKind) -> u64 {
        let number = self.state().request(kind);
        self.requested.notify_one();
        number
    }

    /// Runs sweeps until told to stop. A sweep that is cut goes on at the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let lease = &self.questions.lease;
        let running = async {
            loop {
                lease.wait().await;
                self.run_while_held().await;
            }
        };
        stop.run_until_cancelled(running).await;
        lease.release().await;
    }

    /// Runs sweeps until another door may run them, or should try.
    async fn run_while_held(&self) {
        let lease = &self.questions.lease;
        let (checkpoint, marks) = self.kept().await;
        let mut due = Due::new(self.settings, &checkpoint, self.questions.registry.now());
        let mut place = Place { checkpoint, marks, parked: None };
        let mut failures = 0;
        loop {
            let next = tokio::select! {
                biased;
                () = lease.lost() => return,
                next = self.next(&due) => next,
            };
            place.prepare(&next, self.questions.registry.now());
            let finished = self.sweep(&next, &mut place).await;
            due.note(&finished);
            failures = if finished.outcome == Outcome::Failed { failures + 1 } else { 0 };
            if finished.kind == SweepKind::Deep && finished.outcome != Outcome::Failed {
                self.questions.look_for_a_cache().await;
            }
            if failures >= LET_GO && lease.is_shared() {
                tracing::warn!("sweeps fail here again and again; another door may try");
                lease.release().await;
                tokio::time::sleep(TIME_TO_LIVE).await;
                return;
            }
        }
    }

    async fn kept(&self) -> (Checkpoint, KeptMarks) {
        checkpoint::load(self.questions.store.as_ref(), self.questions.registry.now()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what was kept of the last sweep cannot be read; the next one begins anew");
            Default::default()
        })
    }

    /// Waits for the next sweep: asked for, or due.
    async fn next(&self, due: &Due) -> Next {
        loop {
            let requested = self.requested.notified();
            let next = due.next();
            {
                let mut state = self.state();
                if let Some(kind) = state.queued.take() {
                    return state.begin(kind, true);
                }
                let now = Instant::now();
                state.next = next.map(|(when, _)| {
                    let wait = when.saturating_duration_since(now).as_millis();
                    let wait = u64::try_from(wait).unwrap_or(u64::MAX);
                    Timestamp::from_milliseconds(
                        self.questions.registry.now().as_milliseconds().saturating_add(wait),
                    )
                });
            }
            match next {
                None => requested.await,
                Some((when, kind)) => tokio::select! {
                    biased;
                    () = requested => {}
                    () = tokio::time::sleep_until(when) => {
                        let mut state = self.state();
                        let requested = state.queued.take();
                        let kind = requested.map_or(kind, |requested| requested.max(kind));
                        return state.begin(kind, requested.is_some());
                    }
                },
            }
        }
    }

    /// One sweep to its end, or on to its end if the place is within one.
    async fn sweep(&self, next: &Next, place: &mut Place) -> FinishedSweep {
        if place.checkpoint.running.is_none() {
            place.marks = KeptMarks::default();
            if let Err(error) = self.finish(&place.checkpoint).await {
                tracing::warn!(%error, "what was kept of the last sweep cannot be forgotten");
            }
        }
        let progress = self.begin(next, &place.checkpoint).await;
        self.questions.pace.begin();
        self.questions.judge.sweep_begins();
        let walked = AssertUnwindSafe(self.walk(&progress, place)).catch_unwind().await;
        self.questions.judge.sweep_ends();
        let (now, held) = (self.questions.registry.now(), self.questions.store.missing());
        let finished = match walked {
            Ok(Ok(catalog)) => progress.finished(Ok(catalog), held, now),
            Ok(Err(abort)) => progress.finished(Err(abort.to_string()), held, now),
            Err(_panic) => {
                tracing::error!(
                    number = next.number,
                    "a sweep panicked, which is a mistake in this program; it is tried again"
                );
                // Nobody knows whether it is right.
                (place.checkpoint.running, place.marks) = (None, KeptMarks::default());
                progress.finished(Err("the sweep panicked, as the log tells".to_owned()), held, now)
            }
        };
        self.end(&finished, place).await;
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
        let mut walk = std::pin::pin!(walk.run());
        let mut shown = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                biased;
                walked = &mut walk => return walked,
                _ = shown.tick() => gauges::show(&progress.running(), self.questions.pace.concurrency()),
            }
        }
    }

    async fn keep(&self, checkpoint: &Checkpoint, marks: &mut KeptMarks) -> Result<(), StoreError> {
        let lease = self.questions.lease.held()?;
        checkpoint::keep(self.questions.store.as_ref(), lease, checkpoint, marks).await
    }

    async fn finish(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let lease = self.questions.lease.held()?;
        checkpoint::finish(self.questions.store.as_ref(), lease, checkpoint).await
    }

    async fn begin(&self, next: &Next, checkpoint: &Checkpoint) -> Arc<Progress> {
        let known = self.questions.store.statistics().await.ok().map(|statistics| statistics.repositories);
        let position = checkpoint.running.as_ref();
        let progress = Arc::new(Progress::new(
            next.number,
            next.kind,
            position.map_or_else(|| self.questions.registry.now(), |position| position.started),
            position.map_or(Phase::Catalog, |position| position.phase),
            position.map(|position| position.counts),
            known.filter(|known| *known > 0),
        ));
        tracing::info!(
            number = next.number,
            kind = ?next.kind,
            resumed = position.is_some(),
            "a sweep begins"
        );
        self.state().running = Some(Arc::clone(&progress));
        progress
    }

    /// Keeps and tells how a sweep ended.
    async fn end(&self, finished: &FinishedSweep, place: &mut Place) {
        let FinishedSweep { number, kind, outcome, cause, repositories, tags, found, problem_count, .. } =
            finished;
        if *outcome == Outcome::Failed {
            tracing::warn!(number, ?kind, cause, repositories, tags, found, "a sweep came to no end");
            // What is not written down now is only lost by a restart.
            let Place { checkpoint, marks, .. } = place;
            if checkpoint.running.is_some()
                && let Err(error) = self.keep(checkpoint, marks).await
            {
                tracing::warn!(%error, "how far a sweep came cannot be kept");
            }
        } else {
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
            let checkpoint = &mut place.checkpoint;
            checkpoint.running = None;
            if *kind == SweepKind::Deep {
                checkpoint.last_deep = Some(finished.ended_at);
            }
            if let Err(error) = self.finish(checkpoint).await {
                tracing::warn!(%error, "the end of a sweep cannot be kept; the next start may repeat some of it");
            }
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
        let mut state = self.state();
        state.running = None;
        state.last = Some(finished.clone());
    }
}
