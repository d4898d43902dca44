//! [`Records`] over maps.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MemoryStore, State, page};
use crate::oci::{Digest, Manifest, RepositoryName, Tag};
use crate::store::record::MAXIMUM_MANIFEST_TAGS;
use crate::store::row::{RepositoryRow, TagRow};
use crate::store::{
    ManifestRecord, Missing, Page, PageRequest, Records, RepositoryRecord, Statistics, StoreError, TagRecord,
};

impl State {
    fn record(&self, repository: &RepositoryName, digest: &Digest) -> Option<ManifestRecord> {
        let (row, manifest) = self.manifests.get(&(repository.clone(), digest.clone()))?;
        let mut tags = self.tags_pointing_to(repository, digest);
        tags.truncate(MAXIMUM_MANIFEST_TAGS);
        let image = self.images.get(&(repository.clone(), digest.clone())).cloned().flatten();
        Some(row.clone().record(digest.clone(), manifest.document.clone(), tags, image))
    }

    fn tags_pointing_to(&self, repository: &RepositoryName, digest: &Digest) -> Vec<Tag> {
        let tags = self.tags.iter().filter(|((name, _), row)| name == repository && row.digest == *digest);
        tags.map(|((_, tag), _)| tag.clone()).collect()
    }

    /// The tags of a repository behind a tag.
    fn tags_behind<'s>(
        &'s self,
        repository: &'s RepositoryName,
        after: Option<&'s Tag>,
    ) -> impl Iterator<Item = (&'s Tag, &'s TagRow)> {
        let rows = self.tags.iter().filter(move |((name, tag), _)| name == repository && Some(tag) > after);
        rows.map(|((_, tag), row)| (tag, row))
    }

    /// The repositories for which `keeps` says so.
    fn repository_page(
        &self,
        request: &PageRequest<RepositoryName>,
        keeps: impl Fn(&RepositoryName, &RepositoryRow) -> bool,
    ) -> Page<RepositoryRecord, RepositoryName> {
        let is_wanted = |(name, row): &(&RepositoryName, &RepositoryRow)| {
            Some(*name) > request.after.as_ref() && keeps(name, row)
        };
        let rows = self.repositories.iter().filter(is_wanted);
        page(rows.map(|(name, row)| (name.clone(), row.clone().record(name.clone()))), request.limit)
    }

    /// The manifests of a repository for which `keeps` says so.
    fn manifest_page(
        &self,
        repository: &RepositoryName,
        request: &PageRequest<Digest>,
        keeps: impl Fn(&Manifest) -> bool,
    ) -> Page<ManifestRecord, Digest> {
        let digests = self.manifests.iter().filter(|((name, digest), (_, manifest))| {
            name == repository && Some(digest) > request.after.as_ref() && keeps(manifest)
        });
        let records =
            digests.filter_map(|((_, digest), _)| Some((digest.clone(), self.record(repository, digest)?)));
        page(records, request.limit)
    }
}

#[async_trait]
impl Records for MemoryStore {
    fn missing(&self) -> Missing {
        self.state().missing
    }

    async fn repositories_with_missing(
        &self,
        request: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        self.scan(|state| state.repository_page(&request, |_, row| !row.missing().is_none())).await
    }

    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError> {
        self.point(|state| {
            let row = state.repositories.get(repository).cloned();
            row.map(|row| row.record(repository.clone()))
        })
    }

    async fn repositories(
        &self,
        containing: Option<&str>,
        request: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let is_wanted = |name: &RepositoryName, _: &RepositoryRow| {
            containing.is_none_or(|part| name.as_str().contains(part))
        };
        self.scan(|state| state.repository_page(&request, is_wanted)).await
    }

    async fn repository_names(
        &self,
        request: PageRequest<String>,
    ) -> Result<Page<RepositoryName, RepositoryName>, StoreError> {
        self.scan(|state| {
            let after = request.after.as_deref();
            let names = state.repositories.keys().filter(|name| Some(name.as_str()) > after);
            page(names.map(|name| (name.clone(), name.clone())), request.limit)
        })
        .await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        self.point(|state| {
            let row = state.tags.get(&(repository.clone(), tag.clone())).cloned()?;
            let platform = state.platform_of(repository, &row);
            Some(row.record(tag.clone(), platform))
        })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError> {
        self.scan(|state| {
            let rows = state.tags_behind(repository, request.after.as_ref());
            let record = |(tag, row): (&Tag, &TagRow)| {
                (tag.clone(), row.clone().record(tag.clone(), state.platform_of(repository, row)))
            };
            page(rows.map(record), request.limit)
        })
        .await
    }

    async fn all_tags(
        &self,
        request: PageRequest<(RepositoryName, Tag)>,
    ) -> Result<Page<(RepositoryName, TagRecord), (RepositoryName, Tag)>, StoreError> {
        self.scan(|state| {
            let after = request.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = state.tags.range((after, Bound::Unbounded));
            let record = |key: &(RepositoryName, Tag), row: &TagRow| {
                (key.0.clone(), row.clone().record(key.1.clone(), state.platform_of(&key.0, row)))
            };
            page(rows.map(|(key, row)| (key.clone(), record(key, row))), request.limit)
        })
        .await
    }

    async fn tag_names(
        &self,
        repository: &RepositoryName,
        request: PageRequest<String>,
    ) -> Result<Page<Tag, Tag>, StoreError> {
        self.scan(|state| {
            let after = request.after.as_deref();
            let rows = state.tags_behind(repository, None).filter(|(tag, _)| Some(tag.as_str()) > after);
            page(rows.map(|(tag, _)| (tag.clone(), tag.clone())), request.limit)
        })
        .await
    }

    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError> {
        self.scan(|state| {
            let is_unsure = |tag: &Tag| {
                state.tags.get(&(repository.clone(), tag.clone())).is_none_or(|row| row.missing.is_some())
            };
            tags.into_iter().filter(is_unsure).collect()
        })
        .await
    }

    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError> {
        self.scan(|state| state.tags_pointing_to(repository, digest)).await
    }

    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, StoreError> {
        self.point(|state| state.manifests.contains_key(&(repository.clone(), digest.clone())))
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        self.scan(|state| state.record(repository, digest)).await
    }

    async fn manifests(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        self.scan(|state| state.manifest_page(repository, &request, |_| true)).await
    }

    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.scan(|state| {
            let found = state.manifests.get(&(repository.clone(), digest.clone()));
            found.map(|(_, manifest)| Arc::clone(manifest))
        })
        .await
    }

    async fn deleted_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.scan(|state| {
            let found = state.deleted.get(&(repository.clone(), digest.clone()));
            found.map(|(_, manifest)| Arc::clone(manifest))
        })
        .await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        request: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let refers = |manifest: &Manifest| {
            manifest.document.subject.as_ref().is_some_and(|about| about.digest == *subject)
        };
        self.scan(|state| state.manifest_page(repository, &request, refers)).await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.point(|state| Statistics {
            repositories: state.repositories.len() as u64,
            tags: state.tags.len() as u64,
            manifests: state.manifests.len() as u64,
            events: state.events.len() as u64,
            open_intents: state.intents.len() as u64,
            hints: state.hints.len() as u64,
            missing: state.missing,
        })
    }
}
