//! [`Images`] over the file.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::snapshot::Snapshot;
use super::super::transaction::Transaction;
use crate::store::group::Work;
use crate::store::{FoundImage, Images, ReadImage, Sequence, StoreError, UnreadImage};

/// [`Images::keep_images`].
struct KeepImages {
    images: Vec<ReadImage>,
    until: Sequence,
}

impl Work<Shared> for KeepImages {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep what images say of themselves";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.keep_images(&self.images, self.until)
    }
}

#[async_trait]
impl Images for RedbStore {
    async fn images_read_until(&self) -> Result<Sequence, StoreError> {
        self.point(Snapshot::images_read_until).await
    }

    async fn unread_images(&self, images: Vec<FoundImage>) -> Result<Vec<UnreadImage>, StoreError> {
        self.scan(move |snapshot| snapshot.unread_images(&images)).await
    }

    async fn keep_images(&self, images: Vec<ReadImage>, until: Sequence) -> Result<(), StoreError> {
        self.write(KeepImages { images, until }).await
    }
}
