//! [`Images`] over maps.

use async_trait::async_trait;

use super::{MemoryStore, State};
use crate::oci::{Digest, RepositoryName};
use crate::store::image::{config_of, platform_of};
use crate::store::row::TagRow;
use crate::store::{FoundImage, Images, ReadImage, Sequence, StoreError, UnreadImage};

impl State {
    /// The platform that the image says it is for to which a tag points, where the tag does not know any.
    pub(super) fn platform_of(&self, repository: &RepositoryName, tag: &TagRow) -> Option<String> {
        let key = (repository.clone(), tag.digest.clone());
        platform_of(self.images.get(&key)?.as_ref()).filter(|_| tag.wants_platform())
    }

    fn unread(&self, FoundImage { repository, digest }: FoundImage) -> Option<UnreadImage> {
        let key: (RepositoryName, Digest) = (repository, digest);
        let config = config_of(&self.manifests.get(&key)?.1.document)?.clone();
        let (is_read, (repository, digest)) = (self.images.contains_key(&key), key);
        (!is_read).then_some(UnreadImage { repository, digest, config })
    }
}

#[async_trait]
impl Images for MemoryStore {
    async fn images_read_until(&self) -> Result<Sequence, StoreError> {
        self.point(|state| state.images_read_until)
    }

    async fn unread_images(&self, images: Vec<FoundImage>) -> Result<Vec<UnreadImage>, StoreError> {
        self.scan(|state| images.into_iter().filter_map(|image| state.unread(image)).collect()).await
    }

    async fn keep_images(&self, images: Vec<ReadImage>, until: Sequence) -> Result<(), StoreError> {
        self.write("keep what images say of themselves", |state| {
            for ReadImage { repository, digest, config } in images {
                let key = (repository, digest);
                if state.manifests.contains_key(&key) {
                    state.images.insert(key, config);
                }
            }
            state.images_read_until = until;
        })
        .await
    }
}
