//! Reading what is recorded.

use std::sync::Arc;

use async_trait::async_trait;

use crate::oci::{Digest, Manifest, RepositoryName, Tag};
use crate::store::{
    ManifestRecord, Missing, Page, PageRequest, RepositoryRecord, Statistics, StoreError, TagRecord,
};

/// What the registry holds, as recorded. Lists are in bytewise order.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// How much of what is recorded the registry denies, without that being believed yet. Cheap.
    fn missing(&self) -> Missing;

    /// Repositories of which something is missing, in bytewise order.
    async fn repositories_with_missing(
        &self,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError>;

    /// One repository.
    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError>;

    /// Repositories in bytewise order, those only whose name contains `containing` if that is given.
    async fn repositories(
        &self,
        containing: Option<&str>,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError>;

    /// The names alone of repositories, in bytewise order, from behind any text on.
    async fn repository_names(
        &self,
        page: PageRequest<String>,
    ) -> Result<Page<RepositoryName, RepositoryName>, StoreError>;

    /// One tag.
    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError>;

    /// The tags of a repository in bytewise order.
    async fn tags(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError>;

    /// The tags of all repositories, in bytewise order of the repositories and then of the tags.
    async fn all_tags(
        &self,
        page: PageRequest<(RepositoryName, Tag)>,
    ) -> Result<Page<(RepositoryName, TagRecord), (RepositoryName, Tag)>, StoreError>;

    /// The names alone of a repository's tags, in bytewise order, from behind any text on.
    async fn tag_names(
        &self,
        repository: &RepositoryName,
        page: PageRequest<String>,
    ) -> Result<Page<Tag, Tag>, StoreError>;

    /// Which of these tags the record does not have in this repository, or holds to be missing at the registry.
    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError>;

    /// The tags of a repository that point to this digest, in bytewise order.
    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError>;

    /// Whether the repository has this manifest. Cheap.
    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, StoreError>;

    /// One manifest as recorded.
    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError>;

    /// The manifests of a repository in bytewise order of their digests. A part of the list ends before its number of items
    /// does when they are large.
    async fn manifests(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError>;

    /// The document itself, if the repository has it.
    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError>;

    /// The document of a manifest that was deleted from the repository, if that is not long ago: kept for 90 days within bounds
    /// of number and bytes, also of one that has come back.
    async fn deleted_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError>;

    /// The manifests of a repository whose subject is this digest, in bytewise order of their digests. A part of the list ends
    /// before its number of items does when they are large.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError>;

    /// How much there is of everything.
    async fn statistics(&self) -> Result<Statistics, StoreError>;
}
