//! Reading the history.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::store::{Epoch, Event, History, Missing, Page, PageRequest, Sequence, StoreError};

/// The history of the record.
#[async_trait]
pub trait Events: Send + Sync + 'static {
    /// Events after a position, oldest first, of one repository or of all.
    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        page: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError>;

    /// Which history this is.
    async fn history(&self) -> Result<History, StoreError>;

    /// Whether what was read up to a position, in an epoch that [`Events::history`] told no earlier, is part of this history:
    /// not so when an older store was restored since, or when it was another's.
    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError>;

    /// How many tags and manifests were recorded as gone since then that the door did not carry.
    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError>;
}
