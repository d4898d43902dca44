//! When sweeps run: in their intervals, when they are asked for, and soon again when one failed.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, Checkpoint};
use super::marks::Marks;
use super::pace::Pace;
use super::paced::PacedTransport;
use super::progress::{CatalogState, FinishedSweep, Outcome, Phase, Progress, SweepKind, SweepStatus};
use super::questions::{Questions, VERIFICATIONS};
use super::walk::Walk;
use crate::clock::Timestamp;
use crate::registry::{Asking, Backends, RegistryClient, Transport};
use crate::store::{Store, StoreError};
use crate::sync::Verifier;

/// How soon a sweep that failed is tried again; each further failure in a row doubles it, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// How sweeps are to be.
#[derive(Clone, Copy, Debug)]
pub struct SweepSettings {
    /// Between two shallow sweeps; zero for none.
    pub interval: Duration,
    /// Between two deep sweeps; zero for none.
    pub deep_interval: Duration,
    /// The most questions under way at the registry.
    pub concurrency: NonZeroUsize,
    /// What the jitter begins with: different for each door, so that several do not sweep at once.
    pub seed: u64,
}

/// Runs the sweeps of one door, one at a time.
pub struct Sweeper {
    questions: Questions,
    settings: SweepSettings,
    state: Mutex<State>,
    requested: Notify,
}

#[derive(Default)]
struct State {
    /// The number of the last sweep that began.
    number: u64,
    running: Option<Arc<Progress>>,
    last: Option<FinishedSweep>,
    /// What was asked for, to begin when nothing runs.
    queued: Option<SweepKind>,
    next: Option<Timestamp>,
}

/// A sweep that is to begin.
struct Next {
    kind: SweepKind,
    is_requested: bool,
}

/// When the next sweeps are due.
struct Due {
    shallow: Option<Instant>,
    deep: Option<Instant>,
    /// Sweeps that failed in a row.
    failures: u32,
    random: fastrand::Rng,
}

impl Sweeper {
    /// A sweeper that asks these backends by this transport and in this way, each answer to begin within `timeout`. `is_busy` tells
    /// whether clients are writing through the door, so that it makes way for them.
    pub fn new(
        store: Arc<dyn Store>,
        backends: Arc<Backends>,
        timeout: Duration,
        transport: Arc<dyn Transport>,
        asking: Asking,
        settings: SweepSettings,
        is_busy: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let pace = Arc::new(Pace::new(settings.concurrency.get(), settings.seed, is_busy));
        let probe = RegistryClient::with_transport(Arc::clone(&backends), timeout, Arc::clone(&transport));
        let paced = Arc::new(PacedTransport::new(transport, Arc::clone(&pace)));
        let registry = Arc::new(RegistryClient::with_transport(backends, timeout, paced).asking(asking));
        let verifier = Verifier::new(Arc::clone(&store), Arc::clone(&registry));
        Self {
            questions: Questions {
                store,
                registry,
                verifier,
                pace,
                places: Semaphore::new(VERIFICATIONS),
                probe,
                looking: tokio::sync::Mutex::default(),
            },
            settings,
            state: Mutex::new(State::default()),
            requested: Notify::new(),
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
        }
    }

    /// Asks for a sweep that begins from now on; answers its number. One may wait while another runs: who asks for one
    /// meanwhile gets the same, and it is deep if anybody wanted that.
    pub fn request(&self, kind: SweepKind) -> u64 {
        let mut state = self.state();
        state.queued = state.queued.max(Some(kind));
        self.requested.notify_one();
        state.number + 1
    }

    /// Runs sweeps until told to stop. A sweep that is cut goes on at the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let running = async {
            let (mut checkpoint, mut marks) = self.kept().await;
            let mut due = Due::new(&self.settings, &checkpoint);
            loop {
                let next = self.next(&due).await;
                // One that was asked for looks at everything anew; one that is due goes on where the last one was cut.
                checkpoint.running.take_if(|cut| next.is_requested || !cut.can_go_on_as(next.kind));
                let finished = self.sweep(next.kind, &mut checkpoint, &mut marks).await;
                due.note(next.kind, finished.outcome, &self.settings);
            }
        };
        stop.run_until_cancelled(running).await;
    }

    /// Runs one sweep from its beginning, without a schedule.
    ///
    /// # Errors
    /// When the store fails before it begins.
    pub async fn run_once(&self, kind: SweepKind) -> Result<FinishedSweep, StoreError> {
        let (mut checkpoint, _) = checkpoint::load(self.questions.store.as_ref(), Timestamp::now()).await?;
        checkpoint.running = None;
        Ok(self.sweep(kind, &mut checkpoint, &mut Marks::default()).await)
    }

    async fn kept(&self) -> (Checkpoint, Marks) {
        checkpoint::load(self.questions.store.as_ref(), Timestamp::now()).await.unwrap_or_else(|error| {
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
                    return Next { kind, is_requested: true };
                }
                let now = Instant::now();
                state.next = next.map(|(when, _)| {
                    let wait = when.saturating_duration_since(now).as_millis();
                    let wait = u64::try_from(wait).unwrap_or(u64::MAX);
                    Timestamp::from_milliseconds(Timestamp::now().as_milliseconds().saturating_add(wait))
                });
            }
            match next {
                None => requested.await,
                Some((when, kind)) => tokio::select! {
                    biased;
                    () = requested => {}
                    () = tokio::time::sleep_until(when) => {
                        let requested = self.state().queued.take();
                        let kind = requested.map_or(kind, |requested| requested.max(kind));
                        return Next { kind, is_requested: requested.is_some() };
                    }
                },
            }
        }
    }

    /// One sweep to its end, or on to its end if the checkpoint is within one.
    async fn sweep(&self, kind: SweepKind, checkpoint: &mut Checkpoint, marks: &mut Marks) -> FinishedSweep {
        if checkpoint.running.is_none() {
            *marks = Marks::default();
            if let Err(error) = checkpoint::finish(self.questions.store.as_ref(), checkpoint).await {
                tracing::warn!(%error, "what was kept of the last sweep cannot be forgotten");
            }
        }
        let progress = self.begin(kind, checkpoint).await;
        self.questions.pace.reassure();
        let walked = {
            let kept = Instant::now();
            let mut walk = Walk {
                questions: &self.questions,
                progress: &progress,
                marks: &mut *marks,
                checkpoint,
                kept,
            };
            let mut walk = std::pin::pin!(walk.run());
            let mut shown = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    biased;
                    walked = &mut walk => break walked,
                    _ = shown.tick() => show(&progress, &self.questions.pace),
                }
            }
        };
        let now = Timestamp::now();
        let finished = match walked {
            Ok((catalog, cause)) => progress.finished(catalog, cause, now),
            Err(abort) => progress.finished(CatalogState::Failed, Some(abort.to_string()), now),
        };
        self.end(&finished, checkpoint).await;
        finished
    }

    async fn begin(&self, kind: SweepKind, checkpoint: &Checkpoint) -> Arc<Progress> {
        let known = self.questions.store.statistics().await.ok().map(|statistics| statistics.repositories);
        let mut state = self.state();
        state.number += 1;
        state.next = None;
        let position = checkpoint.running.as_ref();
        let progress = Arc::new(Progress::new(
            state.number,
            kind,
            position.map_or_else(Timestamp::now, |position| position.started),
            position.map_or(Phase::Catalog, |position| position.phase),
            position.map(|position| position.counts),
            known.filter(|known| *known > 0),
        ));
        tracing::info!(number = state.number, ?kind, resumed = position.is_some(), "a sweep begins");
        state.running = Some(Arc::clone(&progress));
        progress
    }

    /// Keeps and tells how a sweep ended.
    async fn end(&self, finished: &FinishedSweep, checkpoint: &mut Checkpoint) {
        let FinishedSweep { number, kind, outcome, cause, repositories, tags, found, problem_count, .. } =
            finished;
        if *outcome == Outcome::Failed {
            tracing::warn!(number, ?kind, cause, repositories, tags, found, "a sweep came to no end");
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
            checkpoint.running = None;
            if *kind == SweepKind::Deep {
                checkpoint.last_deep = Some(finished.ended_at);
            }
            if let Err(error) = checkpoint::finish(self.questions.store.as_ref(), checkpoint).await {
                tracing::warn!(%error, "the end of a sweep cannot be kept; the next start may repeat some of it");
            }
        }
        count(finished);
        let mut state = self.state();
        state.running = None;
        state.last = Some(finished.clone());
    }
}

impl Due {
    /// The first sweep is due at once: the one that was cut; else a deep one, unless the last deep one is recent.
    fn new(settings: &SweepSettings, checkpoint: &Checkpoint) -> Self {
        let now = Instant::now();
        let cut = checkpoint.running.as_ref().map(|position| position.kind);
        let deep_is_left = match (cut, checkpoint.last_deep) {
            (Some(SweepKind::Deep), _) | (None, None) => Duration::ZERO,
            (Some(SweepKind::Shallow), None) => settings.interval,
            (_, Some(last)) => settings.deep_interval.saturating_sub(Timestamp::now().since(last)),
        };
        Self {
            shallow: (!settings.interval.is_zero()).then_some(now),
            deep: (!settings.deep_interval.is_zero()).then(|| now + deep_is_left),
            failures: 0,
            random: fastrand::Rng::with_seed(settings.seed),
        }
    }

    /// What is due next. A deep sweep does what a shallow one does.
    fn next(&self) -> Option<(Instant, SweepKind)> {
        let deep = self.deep.map(|when| (when, SweepKind::Deep));
        let shallow = self.shallow.map(|when| (when, SweepKind::Shallow));
        match (deep, shallow) {
            (Some(deep), Some(shallow)) => Some(if deep.0 <= shallow.0 { deep } else { shallow }),
            (deep, shallow) => deep.or(shallow),
        }
    }

    /// A sweep has ended: when the next ones are due.
    fn note(&mut self, kind: SweepKind, outcome: Outcome, settings: &SweepSettings) {
        let now = Instant::now();
        if outcome == Outcome::Failed {
            self.failures = self.failures.saturating_add(1);
            let doubled = FIRST_RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
            let jittered = self.jittered(doubled);
            let retry = |interval: Duration| (!interval.is_zero()).then(|| now + jittered.min(interval));
            match kind {
                SweepKind::Shallow => self.shallow = retry(settings.interval),
                SweepKind::Deep => self.deep = retry(settings.deep_interval),
            }
            return;
        }
        self.failures = 0;
        self.shallow = (!settings.interval.is_zero()).then(|| now + self.jittered(settings.interval));
        if kind == SweepKind::Deep {
            self.deep =
                (!settings.deep_interval.is_zero()).then(|| now + self.jittered(settings.deep_interval));
        }
    }

    /// From nine tenths of a time to the whole of it, so that several doors drift apart and no interval gets longer.
    fn jittered(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.9 + self.random.f64() / 10.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a graph")]
fn show(progress: &Progress, pace: &Pace) {
    let running = progress.running();
    metrics::gauge!("portreeve_sweep_repositories_done").set(running.repositories_done as f64);
    metrics::gauge!("portreeve_sweep_concurrency").set(pace.concurrency() as f64);
}

#[expect(clippy::cast_precision_loss, reason = "for a graph")]
fn count(finished: &FinishedSweep) {
    let kind = match finished.kind {
        SweepKind::Shallow => "shallow",
        SweepKind::Deep => "deep",
    };
    let outcome = match finished.outcome {
        Outcome::Complete => "complete",
        Outcome::Partial => "partial",
        Outcome::Failed => "failed",
    };
    metrics::counter!("portreeve_sweeps_total", "kind" => kind, "outcome" => outcome).increment(1);
    let took = finished.ended_at.since(finished.started_at);
    metrics::histogram!("portreeve_sweep_seconds", "kind" => kind).record(took.as_secs_f64());
    metrics::gauge!("portreeve_sweep_concurrency").set(0.0);
    if finished.outcome == Outcome::Complete {
        let ended = finished.ended_at.as_milliseconds() as f64 / 1000.0;
        metrics::gauge!("portreeve_sweep_last_complete_timestamp_seconds", "kind" => kind).set(ended);
    }
}
