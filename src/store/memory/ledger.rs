//! [`Ledger`] over maps.

use std::sync::Arc;

use async_trait::async_trait;

use super::{MemoryStore, State};
use crate::clock::Timestamp;
use crate::oci::{Reference, RepositoryName};
use crate::store::ledger::{self, Answered, Beginning, Ended};
use crate::store::{
    Actor, Change, Guard, Intent, IntentState, LastWrite, Ledger, Outcome, Recorded, Sequence, Settled,
    Source, StoreError, Write,
};

/// An intent of which its caller has not heard yet: a caller who leaves before that carries nothing.
struct Unheard<'a> {
    store: &'a MemoryStore,
    intent: Option<Sequence>,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(intent) = self.intent {
            self.store.state().mark_unknown(intent);
        }
    }
}

impl State {
    fn mark_unknown(&mut self, intent: Sequence) {
        if let Some(intent) = self.intents.get_mut(&intent) {
            intent.state = IntentState::Unknown;
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
        let beginning = Beginning { repository, write, actor, now };
        let Ok(begun) = self.apply(ATTEMPTED, |state| ledger::begin(state, &beginning))?;
        let begun = begun
            .map_err(|cause| StoreError::Unavailable { attempted: ATTEMPTED, cause: Arc::new(cause) })?;
        let mut unheard = Unheard { store: self, intent: Some(begun.sequence) };
        self.step().await;
        unheard.intent = None;
        Ok(begun)
    }

    async fn settle(
        &self,
        intent: Sequence,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        let ended = Ended { intent, outcome, now };
        let Ok(settled) =
            self.write("record the outcome of a write", |state| ledger::settle(state, &ended)).await?;
        Ok(settled)
    }

    async fn doubt(&self, intent: Sequence) -> Result<(), StoreError> {
        self.check_open()?;
        self.state().mark_unknown(intent);
        Ok(())
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let answered = Answered { changes, source, guard, now };
        let Ok(recorded) =
            self.write("record what the registry answered", |state| ledger::record(state, &answered)).await?;
        Ok(recorded)
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        self.point(|state| state.intents.values().cloned().collect())
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
