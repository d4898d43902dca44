//! The one place that puts the parts of `sync/` together: for a door, for `portreeve sync` without one, and for tests.
//!
//! Building starts nothing. [`SyncEngine::run`] is what a door has running beside its traffic; the sweeps are apart, since
//! they have a thread of their own there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::membership::{LeaseHolder, Membership};
use super::unknown::SettleSettings;
use super::{
    Carrier, Deleter, FirstPass, HintQueue, Judge, JudgeSettings, PullCounts, Recording, SeenAnswers,
    SweepSettings, Sweeper, TagDeleter, Undeleter, UnknownIntents, Verifier, compare_answers, flush_pulls,
    follow_hints, read_images, settle_unknown,
};
use crate::clock::RetentionClock;
use crate::registry::{RegistryClient, RegistrySettings, Transport};
use crate::store::{LeaseName, Store};

/// How the parts are to behave.
pub struct EngineSettings {
    /// Where the registry is and how it is asked.
    pub registry: RegistrySettings,
    /// Which answers that contradict the record are believed.
    pub judge: JudgeSettings,
    /// The clock by which what is missing grows old; without one it is the clock of `registry`.
    pub retention_clock: Option<Arc<RetentionClock>>,
    /// When sweeps are due, and how much they ask at once.
    pub sweep: SweepSettings,
    /// How long the last look at unknown outcomes may take at the end.
    pub last_pass: Duration,
}

/// How requests to the registry travel. Sweeps have connections of their own where they have a thread of their own.
pub struct Transports {
    /// For writes, and for questions about single references.
    pub requests: Arc<dyn Transport>,
    /// For sweeps.
    pub sweeps: Arc<dyn Transport>,
}

/// The parts of `sync/` over one store and one registry.
pub struct SyncEngine {
    /// The record.
    pub store: Arc<dyn Store>,
    /// The client by which writes are carried and references verified.
    pub registry: Arc<RegistryClient>,
    /// What is to be looked at again.
    pub hints: Arc<HintQueue>,
    /// Verifies one reference.
    pub verifier: Arc<Verifier>,
    /// Writes whose outcome is not known.
    pub unknown: Arc<UnknownIntents>,
    /// This door among those that share the record.
    pub membership: Arc<Membership>,
    /// Carries manifest writes.
    pub carrier: Carrier,
    /// The tasks of the writes under way: they are waited for before the store is closed.
    pub writes: TaskTracker,
    /// Sweeps; makes way while there are `writes`.
    pub sweeper: Arc<Sweeper>,
    /// Pulls that are not written down yet.
    pub pulls: Arc<PullCounts>,
    /// Answers to clients that are not compared yet.
    pub seen: Arc<SeenAnswers>,
    first_pass: watch::Sender<bool>,
    settle: SettleSettings,
}

impl SyncEngine {
    /// Puts the parts together. Starts nothing, and asks nothing.
    pub fn new(store: Arc<dyn Store>, settings: EngineSettings, transports: Transports) -> Self {
        let EngineSettings { registry: access, judge, retention_clock, sweep, last_pass } = settings;
        let registry = Arc::new(RegistryClient::new(access.clone(), transports.requests));
        let judge = Judge::new(Arc::clone(&store), judge, access.clock);
        let judge = Arc::new(match retention_clock {
            Some(clock) => judge.with_retention_clock(clock),
            None => judge,
        });
        let hints = Arc::new(HintQueue::new(Arc::clone(&store) as _));
        let membership = Arc::new(Membership::new(Arc::clone(&store) as _));
        let recording = Recording {
            store: Arc::clone(&store),
            judge: Arc::clone(&judge),
            hints: Arc::clone(&hints),
            membership: Arc::clone(&membership),
        };
        let unknown = Arc::new(UnknownIntents::default());
        let writes = TaskTracker::new();
        let under_way = writes.clone();
        Self {
            verifier: Arc::new(Verifier::new(Arc::clone(&store), Arc::clone(&registry), judge)),
            carrier: Carrier::new(
                recording.clone(),
                Arc::clone(&registry),
                Arc::clone(&unknown),
                writes.clone(),
            ),
            sweeper: Arc::new(Sweeper::new(recording, &access, transports.sweeps, sweep, move || {
                !under_way.is_empty()
            })),
            pulls: Arc::new(PullCounts::by(access.clock)),
            seen: Arc::default(),
            first_pass: watch::Sender::new(false),
            membership,
            settle: SettleSettings { settled_after: access.timeout, last_pass },
            store,
            registry,
            hints,
            unknown,
            writes,
        }
    }

    /// What deletes tags where the registry cannot.
    pub fn tag_deleter(&self) -> TagDeleter {
        TagDeleter::new(self.carrier.clone(), Arc::clone(&self.registry), Arc::clone(&self.store) as _)
    }

    /// What deletes for callers of the API.
    pub fn deleter(&self) -> Deleter {
        Deleter::new(self.carrier.clone(), self.tag_deleter())
    }

    /// What puts back what was deleted.
    pub fn undeleter(&self) -> Undeleter {
        Undeleter::new(self.carrier.clone(), Arc::clone(&self.store))
    }

    /// Tells when every intent that was open at the start has been asked about once.
    pub fn first_pass(&self) -> FirstPass {
        self.first_pass.subscribe()
    }

    /// Starts everything but the sweeps, until told to stop. `exchanges` counts those with clients.
    pub fn run(&self, background: &TaskTracker, exchanges: &TaskTracker, stop: &CancellationToken) {
        background.spawn(self.take_part(stop.clone()));
        background.spawn(self.settle_unknown(stop.clone()));
        background.spawn(self.follow_hints(stop.clone()));
        let (seen, store, hints) =
            (Arc::clone(&self.seen), Arc::clone(&self.store) as _, Arc::clone(&self.hints));
        background.spawn(compare_answers(seen, store, hints, stop.clone()));
        background.spawn(flush_pulls(Arc::clone(&self.pulls), Arc::clone(&self.store), stop.clone()));
        background.spawn(self.read_images(exchanges.clone(), stop.clone()));
    }

    /// Shows other doors that this one lives, until told to stop.
    pub fn take_part(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.membership).run(stop)
    }

    /// Asks about writes whose outcome is not known until told to stop.
    pub fn settle_unknown(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        settle_unknown(
            Arc::clone(&self.store),
            Arc::clone(&self.verifier),
            Arc::clone(&self.unknown),
            LeaseHolder::new(LeaseName::Verify, Arc::clone(&self.membership)),
            self.settle,
            self.first_pass.clone(),
            stop,
        )
    }

    /// Reads what images say of themselves, until told to stop.
    fn read_images(
        &self,
        exchanges: TaskTracker,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let lease = LeaseHolder::new(LeaseName::Images, Arc::clone(&self.membership));
        let writes = self.writes.clone();
        let is_serving = move || !(writes.is_empty() && exchanges.is_empty());
        read_images(Arc::clone(&self.store), Arc::clone(&self.registry), lease, is_serving, stop)
    }

    /// Follows hints until told to stop.
    pub fn follow_hints(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let lease = LeaseHolder::new(LeaseName::Hints, Arc::clone(&self.membership));
        follow_hints(Arc::clone(&self.hints), Arc::clone(&self.verifier), lease, stop)
    }
}
