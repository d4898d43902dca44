//! [`Events`] over the file.

use async_trait::async_trait;
use tokio::sync::watch;

use super::super::RedbStore;
use super::super::snapshot::Snapshot;
use crate::clock::Timestamp;
use crate::store::{Epoch, Event, EventRange, Events, History, Missing, Page, Sequence, StoreError};

#[async_trait]
impl Events for RedbStore {
    async fn events_in(&self, range: EventRange) -> Result<Page<Event, Sequence>, StoreError> {
        self.scan(move |snapshot| snapshot.events(&range)).await
    }

    fn last_event(&self) -> watch::Receiver<Sequence> {
        self.shared.last_event.subscribe()
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
