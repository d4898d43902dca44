//! How much there is, what happened on each day, and what takes the most room.

use async_trait::async_trait;

use crate::oci::{Digest, RepositoryName};
use crate::store::{BlobPlace, BlobRecord, DayRecord, Page, PageRequest, SizedDigest, StoreError, Totals};

/// Numbers about what is held. Kept up with every change.
#[async_trait]
pub trait Numbers: Send + Sync + 'static {
    /// How much is held. Cheap.
    async fn totals(&self) -> Result<Totals, StoreError>;

    /// The last days on which something happened, the latest first; at most 400 are kept.
    async fn days(&self, limit: usize) -> Result<Vec<DayRecord>, StoreError>;

    /// Looks at a part of all blobs, as many as the page has room for, and answers at most `limit` of the largest among them,
    /// the largest first. A blob that several repositories name stands there once.
    async fn largest_blobs(
        &self,
        page: PageRequest<BlobPlace>,
        limit: usize,
    ) -> Result<Page<BlobRecord, BlobPlace>, StoreError>;

    /// What a repository holds, its manifests and the blobs that they name, in bytewise order of the digests, each of which
    /// stands there once, from behind any text on.
    async fn sizes(
        &self,
        repository: &RepositoryName,
        page: PageRequest<String>,
    ) -> Result<Page<SizedDigest, Digest>, StoreError>;
}
