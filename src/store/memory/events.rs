//! [`Events`] over maps.

use async_trait::async_trait;

use super::{MemoryStore, State, page};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::{Epoch, Event, Events, History, Missing, Page, PageRequest, Sequence, StoreError};

#[async_trait]
impl Events for MemoryStore {
    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        request: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError> {
        self.scan(|state| {
            let events = state.events.values().filter(|event| {
                Some(event.sequence) > request.after
                    && repository.is_none_or(|name| event.repository == *name)
            });
            page(events.map(|event| (event.sequence, event.clone())), request.limit)
        })
        .await
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.point(State::history)
    }

    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError> {
        self.scan(|state| state.continues(epoch, position)).await
    }

    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError> {
        self.scan(|state| {
            let mut found = Missing::default();
            for event in state.events.values().rev().take_while(|event| event.time >= since) {
                found.count_removal(event);
            }
            found
        })
        .await
    }
}
