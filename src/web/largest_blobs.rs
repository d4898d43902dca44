//! The largest blobs of the record. To find them all blobs are looked at, part by part, so what was found is kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::oci::{Digest, RepositoryName};
use crate::store::{BlobPlace, BlobRecord, Numbers, PageRequest, StoreError};

/// How many of the largest blobs are shown.
const LARGEST: usize = 20;
/// How many blobs are looked at between two turns of others.
const PART: usize = 10_000;
/// How long what was found stays as it is: to look at all blobs takes a second for each million or two.
const KEPT: Duration = Duration::from_mins(5);

/// A large blob.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct BlobItem {
    digest: Digest,
    size: u64,
    /// One of the repositories whose manifests name it.
    repository: RepositoryName,
    /// How many manifests of that repository do.
    manifests: u64,
}

impl From<BlobRecord> for BlobItem {
    fn from(BlobRecord { place, size, holders }: BlobRecord) -> Self {
        let BlobPlace { repository, digest } = place;
        Self { digest, size, repository, manifests: holders }
    }
}

/// The largest blobs as they were last found. Whoever asks meanwhile waits for that.
#[derive(Debug, Default)]
pub struct LargestBlobs(Mutex<Option<(Instant, Arc<Vec<BlobItem>>)>>);

impl LargestBlobs {
    /// The largest, looked for anew if that was long ago.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn get(&self, store: &dyn Numbers) -> Result<Arc<Vec<BlobItem>>, StoreError> {
        let mut kept = self.0.lock().await;
        if let Some((found, blobs)) = &*kept
            && found.elapsed() < KEPT
        {
            return Ok(Arc::clone(blobs));
        }
        let blobs = Arc::new(find(store).await?);
        *kept = Some((Instant::now(), Arc::clone(&blobs)));
        Ok(blobs)
    }
}

#[cfg(test)]
impl LargestBlobs {
    /// Whether they were looked for.
    pub(super) async fn are_kept(&self) -> bool {
        self.0.lock().await.is_some()
    }
}

/// Looks at all blobs, part by part.
async fn find(store: &dyn Numbers) -> Result<Vec<BlobItem>, StoreError> {
    let mut largest: Vec<BlobRecord> = Vec::new();
    let mut after = None;
    loop {
        let page = store.largest_blobs(PageRequest { after, limit: PART }, LARGEST).await?;
        for blob in page.items {
            // The same blob in another repository is no other blob.
            if !largest.iter().any(|kept| kept.place.digest == blob.place.digest) {
                largest.push(blob);
            }
        }
        largest.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.place.cmp(&other.place)));
        largest.truncate(LARGEST);
        after = page.next;
        if after.is_none() {
            return Ok(largest.into_iter().map(BlobItem::from).collect());
        }
    }
}
