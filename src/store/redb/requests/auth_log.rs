//! [`AuthLog`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::transaction::Transaction;
use crate::store::group::Work;
use crate::store::{AuthEvent, AuthEventKind, AuthLog, Page, PageRequest, Retention, Sequence, StoreError};

/// [`AuthLog::add_auth_events`].
struct AddAuthEvents {
    events: Vec<(Option<Sequence>, AuthEvent)>,
    keep: Retention,
}

impl Work<Shared> for AddAuthEvents {
    type Answer = Vec<Sequence>;
    const ATTEMPTED: &'static str = "write down what happened at the gate";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Vec<Sequence>, Failure> {
        transaction.add_auth_events(&self.events, self.keep)
    }
}

#[async_trait]
impl AuthLog for RedbStore {
    async fn add_auth_events(
        &self,
        events: Vec<(Option<Sequence>, AuthEvent)>,
        keep: Retention,
    ) -> Result<Vec<Sequence>, StoreError> {
        self.write(AddAuthEvents { events, keep }).await
    }

    async fn auth_events(
        &self,
        page: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        self.scan(move |snapshot| snapshot.auth_events(&page)).await
    }

    async fn latest_auth_events(
        &self,
        kind: AuthEventKind,
        page: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        self.scan(move |snapshot| snapshot.latest_auth_events(kind, &page)).await
    }
}
