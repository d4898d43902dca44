//! [`Ledger`] over the file.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::snapshot::Snapshot;
use super::super::transaction::Transaction;
use super::super::writer::Work;
use crate::clock::Timestamp;
use crate::oci::{Reference, RepositoryName};
use crate::store::ledger::{Answered, Beginning, Ended};
use crate::store::{
    Actor, Change, Guard, Intent, LastWrite, Ledger, Outcome, Recorded, Sequence, Settled, Source,
    StoreError, Write,
};

/// [`Ledger::accept_removals`](crate::store::Ledger::accept_removals).
struct AcceptRemovals;

impl Work for AcceptRemovals {
    type Answer = ();
    const ATTEMPTED: &'static str = "accept removals";

    fn apply(&self, transaction: &mut Transaction<'_, '_>) -> Result<(), Failure> {
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
        self.write(Beginning { repository, write, actor, now }).await
    }

    async fn settle(
        &self,
        intent: Sequence,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        self.write(Ended { intent, outcome, now }).await
    }

    async fn doubt(&self, intent: Sequence) -> Result<(), StoreError> {
        // Nothing to write: after a restart every intent is in doubt anyway.
        self.shared.check_open()?;
        self.shared.intents.doubt(intent);
        Ok(())
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        self.write(Answered { changes, source, guard, now }).await
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        self.shared.check_open()?;
        Ok(self.shared.intents.all())
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
