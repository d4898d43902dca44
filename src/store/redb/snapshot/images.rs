//! What images say of themselves.

use redb::{ReadOnlyTable, ReadTransaction};

use super::super::failure::Failure;
use super::super::tables::{
    IMAGES, Json, MANIFESTS, META, META_IMAGES, TwoKeys, decode, decode_document, number,
};
use super::Snapshot;
use crate::oci::{Digest, ImageConfig, RepositoryName};
use crate::store::image::config_of;
use crate::store::row::TagRow;
use crate::store::{FoundImage, Sequence, UnreadImage};

impl Snapshot {
    pub(crate) fn images_read_until(&self) -> Result<Sequence, Failure> {
        Ok(Sequence::new(number(&self.0.open_table(META)?, META_IMAGES)?))
    }

    pub(crate) fn unread_images(&self, images: &[FoundImage]) -> Result<Vec<UnreadImage>, Failure> {
        let (manifests, read) = (self.0.open_table(MANIFESTS)?, self.0.open_table(IMAGES)?);
        let mut unread = Vec::new();
        for FoundImage { repository, digest } in images {
            let key = (repository.as_str(), digest.as_str());
            let Some(rows) = manifests.get(key)? else { continue };
            if read.get(key)?.is_some() {
                continue;
            }
            let document = decode_document(repository, digest, rows.value().1)?;
            unread.extend(config_of(&document).map(|config| UnreadImage {
                repository: repository.clone(),
                digest: digest.clone(),
                config: config.clone(),
            }));
        }
        Ok(unread)
    }
}

/// What images say of themselves, where records are read.
pub(super) struct ImageTable(ReadOnlyTable<TwoKeys, (&'static str, Json)>);

impl ImageTable {
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, Failure> {
        Ok(Self(transaction.open_table(IMAGES)?))
    }

    /// The platform that the image says it is for to which a tag points, where the tag does not know any.
    pub(super) fn platform_of(
        &self,
        repository: &RepositoryName,
        tag: &TagRow,
    ) -> Result<Option<String>, Failure> {
        if !tag.wants_platform() {
            return Ok(None);
        }
        let found = self.0.get((repository.as_str(), tag.digest.as_str()))?;
        Ok(found.map(|row| row.value().0.to_owned()).filter(|platform| !platform.is_empty()))
    }

    /// What an image says of itself, and how many bytes that is here.
    pub(super) fn of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(Option<ImageConfig>, usize), Failure> {
        let Some(row) = self.0.get((repository.as_str(), digest.as_str()))? else { return Ok((None, 0)) };
        let (_, config) = row.value();
        Ok((decode(|| format!("image `{digest}` in `{repository}`"), config)?, config.len()))
    }
}
