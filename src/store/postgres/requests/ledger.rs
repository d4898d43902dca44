//! [`Ledger`] over the database.

use std::time::Duration;

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::{Failure, NotThere, number, stored};
use super::super::query::query;
use super::super::reading::understood;
use super::super::shared::Shared;
use super::super::transaction::{Transaction, intent_of, intents};
use super::super::work::MarkUnknown;
use crate::clock::{Backoff, Timestamp};
use crate::oci::{Reference, RepositoryName};
use crate::store::group::Work;
use crate::store::ledger::{Answered, Beginning, Ended, Postponed};
use crate::store::{
    Actor, Change, Guard, Intent, IntentState, LastWrite, Lease, Ledger, Outcome, Recorded, Retry, Sequence,
    Settled, Source, StoreError, Write,
};

/// Between two looks at an intent that waits: another door may be the one that lets it through.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));

/// [`Ledger::accept_removals`].
struct AcceptRemovals;

impl Work<Shared> for AcceptRemovals {
    type Answer = ();
    const ATTEMPTED: &'static str = "accept removals";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.accept_removals();
        Ok(())
    }
}

#[async_trait]
impl Ledger for PostgresStore {
    async fn begin(
        &self,
        repository: RepositoryName,
        write: Write,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Intent, StoreError> {
        self.write(Beginning { by: self.shared.incarnation(), repository, write, actor, now }).await
    }

    async fn until_carried(&self, intent: &Intent) -> Result<Option<Intent>, StoreError> {
        let waiter = self.shared.waiters.wait_for(intent.sequence);
        let mut looks = 0;
        loop {
            let row =
                self.row(query!(intents!("WHERE sequence = $1"), stored(intent.sequence.get()))).await?;
            match understood(|| row.as_ref().map(intent_of).transpose())? {
                Some(intent) if intent.state == IntentState::Waiting => {
                    looks += 1;
                    // Whichever comes first, the next look tells.
                    let _ = tokio::time::timeout(PAUSES.pause(looks), waiter.woken()).await;
                }
                reached => return Ok(reached),
            }
        }
    }

    async fn settle(&self, intent: &Intent, outcome: Outcome, now: Timestamp) -> Result<Settled, StoreError> {
        let Intent { sequence: intent, holder, .. } = *intent;
        self.write(Ended { by: self.shared.incarnation(), intent, holder, outcome, now }).await
    }

    async fn mark_unknown(&self, intent: &Intent) -> Result<bool, StoreError> {
        let Intent { sequence: intent, holder, .. } = *intent;
        self.write(MarkUnknown { by: self.shared.incarnation(), intent, holder }).await
    }

    async fn postpone_intents(
        &self,
        lease: Lease,
        retries: Vec<(Sequence, Retry)>,
    ) -> Result<(), StoreError> {
        self.write(Postponed { by: self.shared.incarnation(), lease, retries }).await
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        self.write(Answered { changes, source, guard, now, by: self.shared.incarnation() }).await
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        let rows = self.rows(query!(intents!("ORDER BY sequence"))).await?;
        understood(|| rows.iter().map(intent_of).collect())
    }

    async fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Intent>, StoreError> {
        let sql = intents!("WHERE repository = $1 ORDER BY sequence");
        let rows = self.rows(query!(sql, repository.to_string())).await?;
        understood(|| rows.iter().map(intent_of).collect())
    }

    async fn sequence(&self) -> Result<Sequence, StoreError> {
        let row = self.row(query!("SELECT sequence FROM ledger")).await?;
        understood(|| {
            let row = row.as_ref().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
            Ok(Sequence::new(number(row.try_get(0)?)))
        })
    }

    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite> {
        self.shared.observed.last(repository, reference)
    }

    async fn accept_removals(&self) -> Result<(), StoreError> {
        self.write(AcceptRemovals).await
    }

    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError> {
        Ok(self.sums().await?.accepted)
    }
}
