//! [`Ledger`] over the file.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::snapshot::Snapshot;
use super::super::transaction::Transaction;
use super::super::work::MarkUnknown;
use super::doors::ALONE;
use crate::clock::Timestamp;
use crate::oci::{Reference, RepositoryName};
use crate::store::group::Work;
use crate::store::ledger::{Answered, Beginning, Ended, Postponed};
use crate::store::{
    Actor, Change, Guard, Intent, IntentState, LastWrite, Lease, Ledger, Outcome, Recorded, Retry, Sequence,
    Settled, Source, StoreError, Write,
};

/// [`Ledger::accept_removals`].
struct AcceptRemovals;

impl Work<Shared> for AcceptRemovals {
    type Answer = ();
    const ATTEMPTED: &'static str = "accept removals";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.accept_removals()
    }
}

#[async_trait]
impl Ledger for RedbStore {
    async fn begin(
        &self,
        repository: RepositoryName,
        write: Write,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Intent, StoreError> {
        self.write(Beginning { by: ALONE, repository, write, actor, now }).await
    }

    async fn settle(&self, intent: &Intent, outcome: Outcome, now: Timestamp) -> Result<Settled, StoreError> {
        let Intent { sequence: intent, holder, .. } = *intent;
        self.write(Ended { by: ALONE, intent, holder, outcome, now }).await
    }

    async fn until_carried(&self, intent: &Intent) -> Result<Option<Intent>, StoreError> {
        let waiter = self.shared.intents.waiters.wait_for(intent.sequence);
        loop {
            self.shared.check_open()?;
            match self.shared.intents.get(intent.sequence) {
                Some(intent) if intent.state == IntentState::Waiting => waiter.woken().await,
                reached => return Ok(reached.map(Arc::unwrap_or_clone)),
            }
        }
    }

    async fn mark_unknown(&self, intent: &Intent) -> Result<bool, StoreError> {
        let Intent { sequence: intent, holder, .. } = *intent;
        self.write(MarkUnknown { intent, holder }).await
    }

    async fn postpone_intents(
        &self,
        lease: Lease,
        retries: Vec<(Sequence, Retry)>,
    ) -> Result<(), StoreError> {
        self.write(Postponed { by: ALONE, lease, retries }).await
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        self.write(Answered { changes, source, guard, now, by: ALONE }).await
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        self.shared.check_open()?;
        Ok(self.shared.intents.all())
    }

    async fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Intent>, StoreError> {
        self.shared.check_open()?;
        Ok(self.shared.intents.of(repository).into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn sequence(&self) -> Result<Sequence, StoreError> {
        self.shared.check_open()?;
        Ok(Sequence::new(self.shared.sequence.load(Ordering::Acquire)))
    }

    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite> {
        self.shared.observed.last(repository, reference)
    }

    async fn accept_removals(&self) -> Result<(), StoreError> {
        self.write(AcceptRemovals).await
    }

    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError> {
        self.point(Snapshot::accepted).await
    }
}
