//! The running of sweeps, one at a time: those that are due, and those that are asked for, at this door or another.

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::adaptive_limit::AdaptiveLimit;
use super::checkpoint::{self, Checkpoint};
use super::completeness::RecordCompleteness;
use super::limited_transport::LimitedTransport;
use super::past::PastSweeps;
use super::place::Place;
use super::progress::Outcome;
use super::questions::Questions;
use super::recording::Recording;
use super::settings::SweepSettings;
use super::state::{Activity, Kept, State, SweepStatus, decode, encode};
use super::timetable::Timetable;
use crate::clock::{Backoff, Timestamp};
use crate::registry::{RegistryClient, RegistrySettings, Transport};
use crate::store::{BegunSweep, LeaseName, RequestedSweep, StoreError, SweepKind};
use crate::sync::Verifier;
use crate::sync::listing::KeptMarks;
use crate::sync::membership::{LeaseHolder, TIME_TO_LIVE, other_doors};
use crate::telemetry::FailureLog;

/// After so many sweeps in a row that came to no end, another door may try.
const LET_GO: u32 = 3;
/// How often a door that does not sweep looks whether the record is complete, until it is.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The pauses before a sweep is tried again to begin, while the store cannot note it.
const BEGINNING_PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// Runs the sweeps of one door, one at a time; where several share the record, as long as it is this door's to sweep.
pub struct Sweeper {
    pub(super) questions: Questions,
    settings: SweepSettings,
    /// Nothing while another door sweeps, as far as this one knows.
    state: Mutex<Option<State>>,
    requested: Notify,
    /// Whether the record is complete, by this door's sweeps or another's.
    pub(super) completeness: Arc<RecordCompleteness>,
    /// Sweeps are numbered since then, if the record has not numbered any.
    opened: Timestamp,
    /// Why sweeps come to no end, while they do not.
    pub(super) failures: FailureLog,
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
        let limit = Arc::new(AdaptiveLimit::new(settings.concurrency.get(), settings.seed, is_busy));
        let probe = RegistryClient::new(access.clone(), Arc::clone(&transport));
        let limited = Arc::new(LimitedTransport::new(transport, Arc::clone(&limit)));
        let registry = Arc::new(RegistryClient::new(access.clone(), limited));
        let lease = Arc::new(LeaseHolder::new(LeaseName::Sweep, membership));
        let verifier = Verifier::new(Arc::clone(&store), Arc::clone(&registry), Arc::clone(&judge))
            .under(Arc::clone(&lease));
        let opened = registry.now();
        Self {
            questions: Questions {
                store,
                lease,
                registry,
                verifier,
                limit,
                judge,
                hints,
                probe,
                looking: tokio::sync::Mutex::default(),
                looked_for_a_cache: AtomicBool::new(false),
            },
            failures: FailureLog::new(),
            settings,
            state: Mutex::new(None),
            requested: Notify::new(),
            completeness: Arc::default(),
            opened,
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known here of the sweeps, if this door still sweeps.
    pub(super) fn note(&self, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.lock_state().as_mut() {
            change(state);
        }
    }

    /// What the sweeps are at and how the last one has ended, if this is the door that sweeps.
    pub(super) fn local_status(&self) -> Option<(Activity, Option<Kept>)> {
        self.questions.lease.held().ok()?;
        self.lock_state().as_ref().map(|state| (state.activity(), state.kept.clone()))
    }

    /// What is remembered of the sweeps before, at the door that sweeps.
    pub(super) fn past_sweeps(&self) -> PastSweeps {
        let state = self.lock_state();
        state.as_ref().and_then(|state| state.kept.as_ref()).map(|kept| kept.past.clone()).unwrap_or_default()
    }

    /// What the sweeps are at, whichever door runs them.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub async fn status(&self) -> Result<SweepStatus, StoreError> {
        let report = self.questions.store.sweep_report().await?;
        let (activity, kept) = self.local_status().unwrap_or_else(|| {
            let activity = report.activity.as_deref().filter(|_| self.questions.lease.is_shared());
            (decode(activity).unwrap_or_default(), decode(report.finished.as_deref()))
        });
        let (last, past) = kept.map(|Kept { last, past }| (last, past)).unzip();
        Ok(SweepStatus {
            running: activity.running,
            last,
            past: past.unwrap_or_default(),
            next_at: activity.next_at,
            numbered_since: report.queue.numbered_since.unwrap_or(self.opened),
        })
    }

    /// Whether the record is complete.
    pub fn completeness(&self) -> &Arc<RecordCompleteness> {
        &self.completeness
    }

    /// What is held to be missing now is gone, as the operator says: sweeps remove it if the registry still denies it.
    ///
    /// # Errors
    /// When the store cannot keep that.
    pub async fn accept_removals(&self) -> Result<(), StoreError> {
        self.questions.judge.accept_removals().await
    }

    /// Asks for a sweep that begins from now on; answers its number. One may wait while another runs: who asks for one
    /// meanwhile gets the same, and it is deep if anybody wanted that. It stays asked for over a restart, until it has ended.
    ///
    /// # Errors
    /// When the store cannot keep that.
    pub async fn request(&self, kind: SweepKind) -> Result<RequestedSweep, StoreError> {
        let requested = self.questions.store.request_sweep(kind, self.opened).await;
        // Perhaps it is kept although the answer was lost.
        self.requested.notify_one();
        requested
    }

    /// Runs sweeps until told to stop. A sweep that is cut goes on at the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let lease = &self.questions.lease;
        let running = async {
            loop {
                tokio::select! {
                    biased;
                    _held = lease.wait() => {}
                    never = self.watch_completeness() => match never {},
                }
                self.run_while_held().await;
                *self.lock_state() = None;
            }
        };
        stop.run_until_cancelled(running).await;
        lease.release().await;
    }

    /// Runs sweeps until another door may run them, or should try.
    async fn run_while_held(&self) {
        let lease = &self.questions.lease;
        let (checkpoint, marks) = self.kept().await;
        if checkpoint.last_complete.is_some() {
            self.completeness.note();
        }
        *self.lock_state() = Some(State { kept: self.last_finished().await, ..State::default() });
        let mut timetable = Timetable::new(self.settings, &checkpoint, self.questions.registry.now());
        let mut place = Place { checkpoint, marks, parked: None };
        let mut failures = 0;
        loop {
            let begun = tokio::select! {
                biased;
                () = lease.lost() => return,
                begun = self.next(&timetable) => begun,
            };
            let finished = self.sweep(&begun, &mut place).await;
            timetable.note(&finished);
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

    /// Looks whether another door's sweeps have made the record complete, until it is dropped.
    async fn watch_completeness(&self) -> Infallible {
        while !self.completeness.is_complete() {
            let now = self.questions.registry.now();
            match checkpoint::load(self.questions.store.as_ref(), now).await {
                Ok((checkpoint, _)) if checkpoint.last_complete.is_some() => self.completeness.note(),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "what another door keeps of its sweeps cannot be read"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        std::future::pending().await
    }

    async fn kept(&self) -> (Checkpoint, KeptMarks) {
        checkpoint::load(self.questions.store.as_ref(), self.questions.registry.now()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what was kept of the last sweep cannot be read; the next one begins anew");
            Default::default()
        })
    }

    async fn last_finished(&self) -> Option<Kept> {
        match self.questions.store.sweep_report().await {
            Ok(report) => decode(report.finished.as_deref()),
            Err(error) => {
                tracing::warn!(%error, "how the last sweep ended cannot be read");
                None
            }
        }
    }

    /// Waits for the next sweep: asked for, or due.
    async fn next(&self, timetable: &Timetable) -> BegunSweep {
        let mut failures = 0_u32;
        loop {
            let looked = Instant::now();
            let next = timetable.next();
            match self.begin_next(next).await {
                Ok(Some(begun)) => return begun,
                Ok(None) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, "the store cannot note that a sweep begins; trying again");
                    tokio::time::sleep(BEGINNING_PAUSES.pause(failures)).await;
                    continue;
                }
            }
            self.show_next(next).await;
            let is_due = async {
                match next {
                    Some((when, _)) => tokio::time::sleep_until(when).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.requested.notified() => {}
                () = is_due => {}
                () = other_doors(&self.questions.lease, looked) => {}
            }
        }
    }

    /// Begins a sweep if one is asked for, or is due by now.
    async fn begin_next(&self, next: Option<(Instant, SweepKind)>) -> Result<Option<BegunSweep>, StoreError> {
        let due = next.filter(|(when, _)| *when <= Instant::now()).map(|(_, kind)| kind);
        let Questions { store, lease, .. } = &self.questions;
        if due.is_none() && !store.sweep_queue().await?.is_waiting() {
            return Ok(None);
        }
        store.begin_sweep(lease.held()?, due, self.opened).await
    }

    /// Shows when the next sweep is due.
    async fn show_next(&self, next: Option<(Instant, SweepKind)>) {
        let next_at = next.map(|(when, _)| {
            let wait = when.saturating_duration_since(Instant::now()).as_millis();
            let now = self.questions.registry.now().as_milliseconds();
            Timestamp::from_milliseconds(now.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)))
        });
        let mut is_shown = true;
        self.note(|state| is_shown = std::mem::replace(&mut state.next, next_at) == next_at);
        if !is_shown {
            self.show_others(&Activity { running: None, next_at }).await;
        }
    }

    /// Shows other doors what this one is at.
    pub(super) async fn show_others(&self, activity: &Activity) {
        let Questions { store, lease, .. } = &self.questions;
        if !lease.is_shared() {
            return;
        }
        let shown = match lease.held() {
            Ok(lease) => store.show_sweep(lease, encode(activity)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = shown {
            tracing::debug!(%error, "other doors cannot be shown how far sweeps are");
        }
    }
}
