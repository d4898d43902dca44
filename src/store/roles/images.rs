//! What images say of themselves, beside their manifests.

use async_trait::async_trait;

use crate::store::{FoundImage, ReadImage, Sequence, StoreError, UnreadImage};

/// What the configurations of recorded images say. It goes with the manifest.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// Up to which event of the history images were read.
    async fn images_read_until(&self) -> Result<Sequence, StoreError>;

    /// Which of these are recorded, have the configuration of an image, and were not read yet.
    async fn unread_images(&self, images: Vec<FoundImage>) -> Result<Vec<UnreadImage>, StoreError>;

    /// Keeps what was read, of those that are still recorded, and up to which event. Durable. Makes no events.
    async fn keep_images(&self, images: Vec<ReadImage>, until: Sequence) -> Result<(), StoreError>;
}
