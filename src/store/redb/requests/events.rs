//! [`Events`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::snapshot::Snapshot;
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::{Epoch, Event, Events, History, Missing, Page, PageRequest, Sequence, StoreError};

#[async_trait]
impl Events for RedbStore {
    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        page: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError> {
        let repository = repository.cloned();
        self.scan(move |snapshot| snapshot.events(repository.as_ref(), &page)).await
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.point(Snapshot::history).await
    }

    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError> {
        self.scan(move |snapshot| snapshot.continues(epoch, position)).await
    }

    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError> {
        self.scan(move |snapshot| snapshot.found_removals(since)).await
    }
}
