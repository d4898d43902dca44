//! [`Ledger`] over maps.

use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryStore;
use crate::clock::Timestamp;
use crate::oci::{Reference, RepositoryName};
use crate::store::ledger::{self, Answered, Beginning, Ended, Postponed};
use crate::store::{
    Actor, Change, Guard, Intent, IntentState, LastWrite, Lease, Ledger, Outcome, Recorded, Retry, Sequence,
    Settled, Source, StoreError, Write,
};

/// An intent of which its caller has not heard: one who leaves, or is told otherwise, carries nothing. The store finds that
/// out with the next write.
struct CallerGone<'a> {
    store: &'a MemoryStore,
    intent: Option<Sequence>,
}

impl Drop for CallerGone<'_> {
    fn drop(&mut self) {
        if let Some(intent) = self.intent {
            self.store.leave_unresolved(intent);
        }
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn begin(
        &self,
        repository: RepositoryName,
        write: Write,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Intent, StoreError> {
        const ATTEMPTED: &str = "note a write";
        let beginning = Beginning { by: self.incarnation(), repository, write, actor, now };
        let mut on_caller_gone = CallerGone { store: self, intent: None };
        let begun = self.write(ATTEMPTED, |state| {
            let Ok(begun) = ledger::begin(state, &beginning);
            on_caller_gone.intent = begun.as_ref().ok().map(|intent| intent.sequence);
            begun
        });
        let begun = begun.await?;
        on_caller_gone.intent = None;
        begun.map_err(|refused| refused.into_error(ATTEMPTED))
    }

    async fn until_carried(&self, intent: &Intent) -> Result<Option<Intent>, StoreError> {
        let waiters = Arc::clone(&self.state().waiters);
        let waiter = waiters.wait_for(intent.sequence);
        loop {
            let reached = self.point(|state| state.intents.get(&intent.sequence).cloned())?;
            match reached {
                Some(intent) if intent.state == IntentState::Waiting => waiter.woken().await,
                reached => return Ok(reached.map(Arc::unwrap_or_clone)),
            }
        }
    }

    async fn settle(&self, intent: &Intent, outcome: Outcome, now: Timestamp) -> Result<Settled, StoreError> {
        let Intent { sequence: intent, holder, .. } = *intent;
        let ended = Ended { by: self.incarnation(), intent, holder, outcome, now };
        let attempted = "record the outcome of a write";
        let settled = self.write(attempted, |state| {
            let before = state.sequence;
            let Ok(settled) = ledger::settle(state, &ended);
            if self.is_shared {
                state.note_recorded(before, ended.by);
            }
            settled
        });
        settled.await?.map_err(|refused| refused.into_error(attempted))
    }

    async fn mark_unknown(&self, intent: &Intent) -> Result<bool, StoreError> {
        let (by, attempted) = (self.incarnation(), "note that the outcome of a write is not known");
        let Intent { sequence: intent, holder, .. } = *intent;
        let Ok(marked) =
            self.write(attempted, |state| ledger::mark_unknown(state, by, holder, intent)).await?;
        marked.map_err(|refused| refused.into_error(attempted))
    }

    async fn postpone_intents(
        &self,
        lease: Lease,
        retries: Vec<(Sequence, Retry)>,
    ) -> Result<(), StoreError> {
        let postponed = Postponed { by: self.incarnation(), lease, retries };
        let attempted = "put down when a write is asked about next";
        let Ok(done) = self.write(attempted, |state| ledger::postpone(state, &postponed)).await?;
        done.map_err(|refused| refused.into_error(attempted))
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let answered = Answered { changes, source, guard, now, by: self.incarnation() };
        let attempted = "record what the registry answered";
        let recorded = self.write(attempted, |state| {
            let before = state.sequence;
            let Ok(recorded) = ledger::record(state, &answered);
            if self.is_shared {
                state.note_recorded(before, answered.by);
            }
            recorded
        });
        let recorded = recorded.await?;
        recorded.map_err(|refused| refused.into_error(attempted))
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        self.point(|state| state.intents.values().map(|intent| Intent::clone(intent)).collect())
    }

    async fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Intent>, StoreError> {
        self.point(|state| {
            let intents = state.intents.values().filter(|intent| intent.repository == *repository);
            intents.map(|intent| Intent::clone(intent)).collect()
        })
    }

    async fn sequence(&self) -> Result<Sequence, StoreError> {
        self.point(|state| state.sequence)
    }

    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite> {
        self.state().recent.last(repository, reference)
    }

    async fn accept_removals(&self) -> Result<(), StoreError> {
        self.write("accept removals", |state| {
            state.sequence = state.sequence.next();
            state.accepted = state.sequence;
        })
        .await
    }

    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError> {
        self.point(|state| state.accepted)
    }
}
