//! Reading the history.

use async_trait::async_trait;
use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::{
    Epoch, Event, EventOrder, EventRange, History, Missing, Page, PageRequest, Sequence, StoreError, TimeSpan,
};

/// The history of the record.
#[async_trait]
pub trait Events: Send + Sync + 'static {
    /// A part of the history. It may have fewer events than were looked at, even none, and there may be more behind it all the
    /// same: `next` says where to go on, and is absent at the end of the history alone.
    async fn events_in(&self, range: EventRange) -> Result<Page<Event, Sequence>, StoreError>;

    /// Events after a position, oldest first, of one repository or of all.
    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        page: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError> {
        let PageRequest { after, limit: rows } = page;
        let (order, times) = (EventOrder::OldestFirst, TimeSpan::default());
        self.events_in(EventRange { repository: repository.cloned(), order, after, times, rows }).await
    }

    /// The number of the last event, or a later one; told anew whenever an event is there to be read, of what another door has
    /// recorded within a second. Cheap.
    fn last_event(&self) -> watch::Receiver<Sequence>;

    /// Which history this is.
    async fn history(&self) -> Result<History, StoreError>;

    /// Whether what was read up to a position, in an epoch that [`Events::history`] told no earlier, is part of this history:
    /// not so when an older store was restored since, or when it was another's.
    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError>;

    /// How many tags and manifests were recorded as gone since then that the door did not carry.
    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError>;
}
