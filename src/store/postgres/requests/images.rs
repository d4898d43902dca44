//! [`Images`] over the database.

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::{Failure, decode};
use super::super::query::query;
use super::super::reading::understood;
use super::super::shared::Shared;
use super::super::transaction::{Transaction, digest, name};
use crate::oci::Document;
use crate::store::group::Work;
use crate::store::image::config_of;
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

const UNREAD: &str = "
SELECT m.repository, m.digest, m.document
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(repository, digest, place)
JOIN manifests m ON m.repository = k.repository AND m.digest = k.digest
WHERE NOT EXISTS (SELECT 1 FROM images i WHERE i.repository = k.repository AND i.digest = k.digest) ORDER BY k.place";

#[async_trait]
impl Images for PostgresStore {
    async fn images_read_until(&self) -> Result<Sequence, StoreError> {
        Ok(self.sums().await?.images_read_until)
    }

    async fn unread_images(&self, images: Vec<FoundImage>) -> Result<Vec<UnreadImage>, StoreError> {
        let keys: (Vec<String>, Vec<String>) =
            images.iter().map(|image| (image.repository.to_string(), image.digest.to_string())).unzip();
        let rows = self.rows(query!(UNREAD, keys.0, keys.1)).await?;
        understood(|| {
            let mut unread = Vec::new();
            for row in &rows {
                let (repository, digest) = (name(row.try_get(0)?)?, digest(row.try_get(1)?)?);
                let document: Document =
                    decode(|| format!("document of `{digest}` in `{repository}`"), row.try_get(2)?)?;
                let config = config_of(&document).cloned();
                unread.extend(config.map(|config| UnreadImage { repository, digest, config }));
            }
            Ok(unread)
        })
    }

    async fn keep_images(&self, images: Vec<ReadImage>, until: Sequence) -> Result<(), StoreError> {
        self.write(KeepImages { images, until }).await
    }
}
