//! Reading manifests for an answer. One may have megabytes, and an index may name thousands of others: so few answers read manifests at
//! a time, and each looks at a bounded number of parts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::SemaphorePermit;

use super::error::ApiError;
use super::manifest_item::{ManifestItem, Referrers};
use super::state::WebState;
use crate::oci::{Digest, Document, Manifest, Reference, RepositoryName, Tag};
use crate::store::{ManifestRecord, Page, PageRequest, Store, StoreError};

/// How many referrers are shown with a manifest; the others are listed.
const REFERRERS: usize = 100;
/// How many parts of one index are looked at for its size.
const PARTS: usize = 64;
/// How many manifests are read for all sizes of one answer, and how many bytes they have about.
const ALL_PARTS: usize = 512;
const ALL_BYTES: u64 = 16 * 1024 * 1024;

/// Reads manifests for one answer, which has its turn as long as this lives: until it is written.
pub(super) struct ManifestReader<'a> {
    store: &'a dyn Store,
    parts_left: usize,
    bytes_left: u64,
    _turn: SemaphorePermit<'a>,
}

/// How many bytes a manifest has with all that it names, each counted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WholeSize {
    pub(super) bytes: u64,
    /// Whether there are parts that were not looked at.
    pub(super) is_least: bool,
}

/// The size of a manifest and those of its parts.
#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) whole: WholeSize,
    /// Of the parts that were looked at, and have no parts of their own.
    pub(super) parts: HashMap<Digest, u64>,
}

impl<'a> ManifestReader<'a> {
    /// Waits for a turn. An answer takes one, never a second beside it.
    ///
    /// # Errors
    /// When so many answers read manifests that it does not come.
    pub(super) async fn wait(state: &'a WebState) -> Result<Self, ApiError> {
        let _turn = state.manifest_turns.take().await?;
        Ok(Self { store: &*state.store, parts_left: ALL_PARTS, bytes_left: ALL_BYTES, _turn })
    }

    /// One manifest, whole, with its referrers, which its record does not hold.
    ///
    /// # Errors
    /// When it is not known.
    pub(super) async fn one(
        &self,
        repository: &RepositoryName,
        reference: Reference,
    ) -> Result<ManifestItem, ApiError> {
        let digest = match reference {
            Reference::Tag(tag) => self.digest_of(repository, tag).await?,
            Reference::Digest(digest) => digest,
        };
        let Some(record) = self.store.manifest(repository, &digest).await? else {
            self.require(repository).await?;
            return Err(ApiError::ManifestUnknown { repository: repository.clone(), digest });
        };
        let page = PageRequest { after: None, limit: REFERRERS };
        let referrers = self.store.referrers(repository, &record.digest, page).await?;
        Ok(ManifestItem { record, referrers: Some(Referrers::from(referrers)) })
    }

    /// Manifests of a repository, or those of them that refer to one.
    ///
    /// # Errors
    /// When the repository is not known.
    pub(super) async fn list(
        &self,
        repository: &RepositoryName,
        subject: Option<&Digest>,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, ApiError> {
        let page = match subject {
            Some(subject) => self.store.referrers(repository, subject, page).await?,
            None => self.store.manifests(repository, page).await?,
        };
        if page.items.is_empty() {
            self.require(repository).await?;
        }
        Ok(page)
    }

    /// The document itself of a manifest, as `/v2/` answers it to those who may pull; nothing if it is not kept.
    pub(super) async fn content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, ApiError> {
        Ok(self.store.manifest_content(repository, digest).await?)
    }

    /// The bytes of a manifest with those of the blobs that it names, and of an index with those of its parts, as far as they are
    /// recorded.
    pub(super) async fn sizes(
        &mut self,
        repository: &RepositoryName,
        document: &Document,
    ) -> Result<Sizes, ApiError> {
        let mut blobs = blobs(document);
        let mut sizes = Sizes { whole: WholeSize { bytes: 0, is_least: false }, parts: HashMap::new() };
        let mut seen: HashSet<Digest> = HashSet::new();
        let mut waiting: VecDeque<Digest> = document.child_manifests().cloned().collect();
        while let Some(part) = waiting.pop_front() {
            if !seen.insert(part.clone()) {
                continue;
            }
            if seen.len() > PARTS || self.parts_left == 0 || self.bytes_left == 0 {
                sizes.whole.is_least = true;
                break;
            }
            let Some(ManifestRecord { digest, document, .. }) = self.part(repository, &part).await? else {
                continue;
            };
            let named = self::blobs(&document);
            if document.children.is_empty() {
                sizes.parts.insert(part, sum(&named, document.size));
            }
            waiting.extend(document.child_manifests().cloned());
            blobs.extend(named);
            blobs.insert(digest, document.size);
        }
        sizes.whole.bytes = sum(&blobs, document.size);
        Ok(sizes)
    }

    /// The same of a manifest by its digest; nothing if it is not recorded, or if enough was read already.
    pub(super) async fn size_of(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<WholeSize>, ApiError> {
        if self.parts_left == 0 || self.bytes_left == 0 {
            return Ok(None);
        }
        match self.part(repository, digest).await? {
            Some(record) => Ok(Some(self.sizes(repository, &record.document).await?.whole)),
            None => Ok(None),
        }
    }

    async fn part(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        let found = self.store.manifest(repository, digest).await?;
        self.parts_left = self.parts_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(found.as_ref().map_or(0, |it| it.document.size));
        Ok(found)
    }

    async fn digest_of(&self, repository: &RepositoryName, tag: Tag) -> Result<Digest, ApiError> {
        match self.store.tag(repository, &tag).await? {
            Some(record) => Ok(record.digest),
            None => {
                self.require(repository).await?;
                Err(ApiError::TagUnknown { repository: repository.clone(), tag })
            }
        }
    }

    /// Whether the repository is there matters where nothing was found in it.
    async fn require(&self, repository: &RepositoryName) -> Result<(), ApiError> {
        match self.store.repository(repository).await? {
            Some(_) => Ok(()),
            None => Err(ApiError::RepositoryUnknown(repository.clone())),
        }
    }
}

fn blobs(document: &Document) -> HashMap<Digest, u64> {
    document.blobs().into_iter().map(|(digest, size)| (digest.clone(), size)).collect()
}

fn sum(blobs: &HashMap<Digest, u64>, own: u64) -> u64 {
    blobs.values().fold(own, |sum, size| sum.saturating_add(*size))
}
