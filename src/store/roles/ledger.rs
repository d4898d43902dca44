//! Writes and their outcomes, what the registry answered, and how far the order of it all is. What comes of each is decided by
//! the decisions in `ledger`.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::oci::{Reference, RepositoryName};
use crate::store::{
    Actor, Change, Guard, Intent, LastWrite, Lease, Outcome, Recorded, Retry, Sequence, Settled, Source,
    StoreError, Write,
};

/// The order of all writes and answers. Only `sync/` writes to it.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Notes durably that a write is to be carried: at once, or once [`Ledger::until_carried`] says so, if an earlier write
    /// is waiting or carried that must be over first. That is one to the same tag and, where either deletes by digest, any
    /// in the repository. An intent of which the caller did not hear is removed.
    async fn begin(
        &self,
        repository: RepositoryName,
        write: Write,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Intent, StoreError>;

    /// Waits until an intent that [waits](crate::store::IntentState::Waiting) is carried, and answers it as it is then; nothing if it is
    /// gone. The caller sets the time.
    async fn until_carried(&self, intent: &Intent) -> Result<Option<Intent>, StoreError>;

    /// Records the outcome of a write that this door carries and removes the intent, in one transaction; the next that waited
    /// for it is carried from then on. An intent that was [overtaken] stays. Closing one, in whatever state, reports no overlap.
    ///
    /// [overtaken]: Settled::Recorded
    async fn settle(&self, intent: &Intent, outcome: Outcome, now: Timestamp) -> Result<Settled, StoreError>;

    /// Says that no door is carrying the intent any more and its outcome is not known: it blocks neither guards nor other
    /// writes from then on. Answers whether that was this door's to say: not so where the intent is gone, or was given up.
    async fn mark_unknown(&self, intent: &Intent) -> Result<bool, StoreError>;

    /// Puts down when intents without a known outcome are asked about next, so that another door that takes the lease over
    /// goes on with that. Those that are gone, or in another state, stay as they are. As durable as the state of an intent:
    /// where one door has the record to itself, a restart begins anew.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    async fn postpone_intents(&self, lease: Lease, retries: Vec<(Sequence, Retry)>)
    -> Result<(), StoreError>;

    /// Records what the registry answered, unless the guard refuses. A change that is already so makes no event.
    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError>;

    /// All open intents, oldest first.
    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError>;

    /// The open intents of a repository, oldest first.
    async fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Intent>, StoreError>;

    /// The last sequence number that was given out.
    async fn sequence(&self) -> Result<Sequence, StoreError>;

    /// The last write through the door that was observed, or verified, about this reference, or in the repository at all.
    /// Forgotten after an hour, and sooner where very much is observed. Cheap.
    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite>;

    /// Keeps the operator's word that what is missing now is gone. Durable.
    async fn accept_removals(&self) -> Result<(), StoreError>;

    /// Up to which number what was marked as missing is accepted as gone.
    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError>;
}
