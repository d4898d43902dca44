//! Carrying a manifest write to the registry, and recording its outcome.
//!
//! The order is the promise: intent durable, then the registry hears of it, then the outcome durable, then the client
//! hears of it. The whole runs in a task of its own, so that a client that leaves changes nothing about it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use tokio_util::task::TaskTracker;

use super::carry_failure::CarryFailure;
use super::confirm;
use super::deletion_outcome::{self, DeletionOutcome, UnknownDeletion};
use super::hints::HintQueue;
use super::judge::Judge;
use super::membership::{Life, Membership};
use super::outcome::Meaning;
use super::sweep::Recording;
use super::unknown::UnknownIntents;
use super::write::WriteRequest;
use crate::registry::{CarryError, RegistryClient, WriteAnswer};
use crate::store::{
    Change, HintedReference, Intent, IntentState, Ledger, Outcome, Queued, Records, Settled, StoreError,
};
use crate::telemetry::CounterFamily;

pub(super) static WRITES: CounterFamily = CounterFamily {
    name: "portreeve_writes_total",
    help: "Manifest writes by what became of them",
    labels: &[(
        "result",
        &[
            "recorded",
            "refused",
            "unconfirmed",
            "unknown",
            "unknown_deletion",
            "not_noted",
            "not_sent",
            "not_recorded",
            "busy",
            "lost",
            "failed",
        ],
    )],
};

/// Carries manifest writes. Shared by all exchanges.
#[derive(Clone)]
pub struct Carrier {
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Arc<dyn Ledger>,
    records: Arc<dyn Records>,
    registry: Arc<RegistryClient>,
    unknown: Arc<UnknownIntents>,
    judge: Arc<Judge>,
    hints: Arc<HintQueue>,
    membership: Arc<Membership>,
    tasks: TaskTracker,
}

impl Carrier {
    /// A carrier that hands what it cannot settle to `unknown`. The server waits for `tasks` when it stops.
    pub fn new(
        Recording { store, judge, hints, membership }: Recording,
        registry: Arc<RegistryClient>,
        unknown: Arc<UnknownIntents>,
        tasks: TaskTracker,
    ) -> Self {
        let ledger = Arc::clone(&store) as _;
        Self {
            shared: Arc::new(Shared {
                ledger,
                records: store,
                registry,
                unknown,
                judge,
                hints,
                membership,
                tasks,
            }),
        }
    }

    /// Runs what consists of several writes, so that the server waits for its end.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        writes: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.shared.tasks.spawn(writes)
    }

    /// Carries one write, to its end even if this future is dropped.
    ///
    /// # Errors
    /// See [`CarryFailure`]: each says whether the registry may have heard of the write.
    pub async fn carry(&self, request: WriteRequest) -> Result<WriteAnswer, CarryFailure> {
        let shared = Arc::clone(&self.shared);
        let task = self.shared.tasks.spawn(async move { shared.carry(request).await });
        // A task is never aborted while the door runs, so this fails only for a panic that was caught further down or a
        // runtime that is going away.
        task.await.unwrap_or(Err(CarryFailure::Failed))
    }
}

impl Shared {
    async fn carry(self: Arc<Self>, request: WriteRequest) -> Result<WriteAnswer, CarryFailure> {
        let (repository, announced) = (request.write.repository(), request.write.announced());
        let life = self.membership.life();
        let now = self.registry.now();
        let begun = tokio::select! {
            biased;
            // The store may take far longer to say that it cannot be reached.
            () = self.membership.fenced() => return Err(not_noted(StoreError::Fenced)),
            begun = self.ledger.begin(repository.clone(), announced, request.actor.clone(), now) => begun,
        };
        let begun = begun.map_err(not_noted)?;
        tracing::debug!(
            repository = %begun.repository, intent = begun.sequence.get(), state = ?begun.state,
            "a write is noted before it is carried"
        );
        let intent = match begun.state {
            IntentState::Waiting => self.wait(begun).await?,
            IntentState::Carried { .. } => begun,
            IntentState::Unknown { .. } => return Err(self.refuse(&begun, StoreError::Fenced).await),
        };
        // From here on whatever happens, a panic included, leaves an intent that is either settled or unknown.
        let carried = AssertUnwindSafe(self.carry_noted(&intent, life, &request)).catch_unwind().await;
        match carried {
            Ok(carried) => carried,
            Err(_panic) => {
                tracing::error!(
                    intent = intent.sequence.get(),
                    "carrying a write panicked; it will be verified"
                );
                count("failed");
                self.leave_unknown(&intent).await;
                Err(CarryFailure::Failed)
            }
        }
    }

    /// Waits until the writes before this one are over.
    async fn wait(&self, intent: Intent) -> Result<Intent, CarryFailure> {
        // The write before it may be at the registry for as long as any may. Going on beside it would be no loss to the
        // registry's other clients, but a deletion by digest and a push that overlap leave a wrong event in the history.
        let waited =
            tokio::time::timeout(self.registry.commit_timeout(), self.ledger.until_carried(&intent)).await;
        match waited {
            Ok(Ok(Some(reached))) if reached.state.is_carried() && reached.holder == intent.holder => {
                Ok(reached)
            }
            // Other doors have taken this one for dead, and do not know that the registry has heard nothing.
            Ok(Ok(Some(_))) => Err(self.refuse(&intent, StoreError::Fenced).await),
            Ok(Ok(None)) => Err(not_noted(StoreError::Closed)),
            Ok(Err(error)) => Err(self.refuse(&intent, error).await),
            Err(_) => {
                count("busy");
                self.close(&intent).await;
                Err(CarryFailure::Busy)
            }
        }
    }

    /// Ends a write of which the registry has heard nothing.
    async fn refuse(&self, intent: &Intent, error: StoreError) -> CarryFailure {
        self.close(intent).await;
        not_noted(error)
    }

    /// Sends a write that was announced in this life of the door, or in a later one.
    async fn carry_noted(
        self: &Arc<Self>,
        intent: &Intent,
        life: Life,
        request: &WriteRequest,
    ) -> Result<WriteAnswer, CarryFailure> {
        // Right before the registry hears of it: past this deadline other doors may have given the write up.
        if let Err(error) = self.membership.check_since(life) {
            return Err(self.refuse(intent, error).await);
        }
        let answer = self.send(intent, request).await?;
        let answered = Instant::now();
        let meaning = match request.write.meaning(&answer) {
            Meaning::Unconfirmed(change) if confirm::is_so(&self.registry, &self.judge, &change).await => {
                Meaning::Done(change)
            }
            meaning => meaning,
        };
        match meaning {
            Meaning::Done(change) => {
                self.record(intent, change).await?;
                tracing::debug!(
                    repository = %intent.repository, intent = intent.sequence.get(),
                    "a write is recorded"
                );
                metrics::histogram!("portreeve_settle_seconds").record(answered.elapsed());
                count("recorded");
            }
            Meaning::Unconfirmed(_) => {
                tracing::warn!(
                    repository = %intent.repository, intent = intent.sequence.get(), status = %answer.status,
                    "the registry's answer to a write does not say that it was done, and neither does the registry when it is asked; it will be asked again"
                );
                count("unconfirmed");
                self.leave_unknown(intent).await;
                return Err(CarryFailure::Unconfirmed(answer.status));
            }
            Meaning::Nothing => {
                tracing::debug!(
                    repository = %intent.repository, intent = intent.sequence.get(),
                    "a write was refused by the registry, and is over"
                );
                count("refused");
                self.close(intent).await;
            }
            Meaning::Unknown => {
                tracing::debug!(
                    repository = %intent.repository, intent = intent.sequence.get(),
                    "the answer does not tell what became of a write; the registry is asked"
                );
                count("unknown");
                self.leave_unknown(intent).await;
            }
        }
        Ok(answer)
    }

    /// Has the registry hear of the write, and the registry asked about it where no answer comes.
    async fn send(&self, intent: &Intent, request: &WriteRequest) -> Result<WriteAnswer, CarryFailure> {
        tracing::debug!(
            repository = %intent.repository, intent = intent.sequence.get(),
            "a write goes to the registry"
        );
        match self.registry.carry(&request.outgoing).await {
            Ok(answer) => {
                tracing::debug!(
                    repository = %intent.repository, intent = intent.sequence.get(), status = %answer.status,
                    "the registry answered a write"
                );
                Ok(answer)
            }
            Err(error @ (CarryError::NotSent(_) | CarryError::NotSigned(_))) => {
                count("not_sent");
                self.close(intent).await;
                Err(error.into())
            }
            Err(error @ (CarryError::TimedOut(_) | CarryError::Lost(_))) => {
                tracing::warn!(
                    repository = %intent.repository, intent = intent.sequence.get(), %error,
                    "a write's outcome is not known; the registry will be asked"
                );
                count("unknown");
                self.leave_unknown(intent).await;
                Err(error.into())
            }
        }
    }

    /// Records what the registry did.
    async fn record(&self, intent: &Intent, change: Change) -> Result<(), CarryFailure> {
        let repository = &intent.repository;
        let DeletionOutcome { outcome, undecided } = match self.outcome(change).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(
                    %repository, intent = intent.sequence.get(), %error,
                    "the registry deleted a manifest, and the tags that went with it are not known yet; it will be asked"
                );
                count("unknown_deletion");
                self.leave_unknown(intent).await;
                return Err(CarryFailure::UnknownDeletion(error));
            }
        };
        match self.ledger.settle(intent, outcome, self.registry.now()).await {
            Ok(Settled::Recorded { overlapped }) => {
                // The store keeps the intent of a write that another one overtook; it has to be asked about.
                if !overlapped.is_empty() {
                    self.unknown.look();
                }
                // They may have been looked at already, when the record still said the same as the registry.
                self.hint(undecided).await;
                Ok(())
            }
            Ok(Settled::Lost) | Err(StoreError::Fenced) => {
                tracing::error!(
                    %repository, intent = intent.sequence.get(),
                    "the registry did a write that is no longer this door's to record; the registry will be asked"
                );
                count("lost");
                self.hint_at(intent).await;
                Err(CarryFailure::Lost)
            }
            Err(error) => {
                tracing::error!(
                    %repository, intent = intent.sequence.get(), %error,
                    "the registry did a write that could not be recorded; it will be verified"
                );
                count("not_recorded");
                self.leave_unknown(intent).await;
                Err(CarryFailure::NotRecorded(error))
            }
        }
    }

    /// What has to be recorded of what the registry did. What is left undecided is hinted at by then, so that neither a crash nor
    /// a store that fails loses it: otherwise the outcome of the deletion is not known.
    async fn outcome(&self, change: Change) -> Result<DeletionOutcome, UnknownDeletion> {
        match &change {
            Change::ManifestDeleted { repository, digest, .. } => {
                let (ledger, records) = (self.ledger.as_ref(), self.records.as_ref());
                let (registry, judge) = (&self.registry, &self.judge);
                let deleted =
                    deletion_outcome::outcome(ledger, records, registry, judge, repository, digest).await?;
                if deleted.undecided.is_empty() {
                    return Ok(deleted);
                }
                match self.hints.add(deleted.undecided.clone()).await {
                    Ok(Queued::Kept(_)) => Ok(deleted),
                    Ok(Queued::Full) => Err(UnknownDeletion::NoRoom),
                    Err(error) => Err(UnknownDeletion::NotKept(error)),
                }
            }
            Change::ManifestPut { .. }
            | Change::TagDeleted { .. }
            | Change::ReferenceMissing { .. }
            | Change::ReferencePresent { .. }
            | Change::RepositoryFound { .. }
            | Change::RepositoryGone { .. } => {
                Ok(DeletionOutcome { outcome: Outcome::Applied(vec![change]), undecided: Vec::new() })
            }
        }
    }

    /// Has references looked at that the registry answered otherwise than it did what it was asked to. If they cannot be
    /// kept, a sweep will see them.
    async fn hint(&self, about: Vec<HintedReference>) {
        if about.is_empty() {
            return;
        }
        match self.hints.add(about).await {
            Ok(Queued::Kept(_)) => {}
            Ok(Queued::Full) => {
                tracing::warn!("there are too many hints to look again at what a write left")
            }
            Err(error) => tracing::warn!(%error, "what a write left cannot be kept as hints"),
        }
    }

    /// Has the registry asked about a write whose outcome is not known.
    async fn leave_unknown(&self, intent: &Intent) {
        if !self.unknown.take_over(self.ledger.as_ref(), intent).await {
            self.hint_at(intent).await;
        }
    }

    /// Has everything looked at that a write may have changed.
    async fn hint_at(&self, intent: &Intent) {
        let references = intent.write.references().into_iter();
        let about =
            references.map(|reference| HintedReference { repository: intent.repository.clone(), reference });
        self.hint(about.collect()).await;
    }

    /// Removes the intent of a write that changed nothing. If that fails, verification will find that out.
    async fn close(&self, intent: &Intent) {
        if let Err(error) = self.ledger.settle(intent, Outcome::Closed, self.registry.now()).await {
            tracing::warn!(intent = intent.sequence.get(), %error, "an intent could not be removed; it will be verified");
            self.leave_unknown(intent).await;
        }
    }
}

fn not_noted(error: StoreError) -> CarryFailure {
    count("not_noted");
    CarryFailure::NotNoted(error)
}

fn count(result: &'static str) {
    WRITES.with([result]).increment(1);
}
