//! [`Records`] over the file.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::snapshot::Snapshot;
use crate::oci::{Digest, Manifest, RepositoryName, Tag};
use crate::store::{
    ManifestRecord, Missing, Page, PageRequest, Records, RepositoryRecord, Statistics, StoreError, TagRecord,
};

/// How many rows without contents a read may touch in place.
const HANDFUL: usize = 100;

#[async_trait]
impl Records for RedbStore {
    fn missing(&self) -> Missing {
        *self.shared.missing.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn repositories_with_missing(
        &self,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        if self.missing().is_none() {
            return Ok(Page { items: Vec::new(), next: None });
        }
        self.scan(move |snapshot| snapshot.repositories_with_missing(&page)).await
    }

    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError> {
        self.point(|snapshot| snapshot.repository(repository)).await
    }

    async fn repositories(
        &self,
        containing: Option<&str>,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let containing = containing.map(str::to_owned);
        self.scan(move |snapshot| snapshot.repositories(containing.as_deref(), &page)).await
    }

    async fn repository_names(
        &self,
        page: PageRequest<String>,
    ) -> Result<Page<RepositoryName, RepositoryName>, StoreError> {
        if page.limit <= HANDFUL {
            return self.point(|snapshot| snapshot.repository_names(&page)).await;
        }
        self.scan(move |snapshot| snapshot.repository_names(&page)).await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        self.point(|snapshot| snapshot.tag(repository, tag)).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError> {
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.tags(&repository, &page)).await
    }

    async fn all_tags(
        &self,
        page: PageRequest<(RepositoryName, Tag)>,
    ) -> Result<Page<(RepositoryName, TagRecord), (RepositoryName, Tag)>, StoreError> {
        self.scan(move |snapshot| snapshot.all_tags(&page)).await
    }

    async fn tag_names(
        &self,
        repository: &RepositoryName,
        page: PageRequest<String>,
    ) -> Result<Page<Tag, Tag>, StoreError> {
        if page.limit <= HANDFUL {
            return self.point(|snapshot| snapshot.tag_names(repository, &page)).await;
        }
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.tag_names(&repository, &page)).await
    }

    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError> {
        if tags.len() <= HANDFUL {
            return self.point(|snapshot| snapshot.unsure_tags(repository, &tags)).await;
        }
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.unsure_tags(&repository, &tags)).await
    }

    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.tags_of(&repository, &digest)).await
    }

    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, StoreError> {
        let shared = &self.shared;
        if shared.held.has(repository, digest) && shared.is_readable() {
            return Ok(true);
        }
        let state = shared.held.state();
        let has = self.point(|snapshot| snapshot.has_manifest(repository, digest)).await?;
        if has {
            shared.held.remember(state, repository, digest);
        }
        Ok(has)
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.manifest(&repository, &digest)).await
    }

    async fn manifests(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.manifests(&repository, &page)).await
    }

    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.manifest_content(&repository, &digest)).await
    }

    async fn deleted_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.deleted_manifest(&repository, &digest)).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let (repository, subject) = (repository.clone(), subject.clone());
        self.scan(move |snapshot| snapshot.referrers(&repository, &subject, &page)).await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        let statistics = self.point(Snapshot::statistics).await?;
        Ok(Statistics { open_intents: self.shared.intents.len() as u64, ..statistics })
    }
}
