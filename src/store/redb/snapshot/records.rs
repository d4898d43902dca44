//! Repositories, tags and manifests.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata};

use super::super::failure::Failure;
use super::super::tables::{
    DELETED_MANIFESTS, EVENTS, HINTS, MANIFESTS, META, ManifestRows, REFERRERS, REPOSITORIES, TAGS,
    TAGS_BY_MANIFEST, ThreeKeys, TwoKeys, behind, decode, decode_document, row, row_in, stored_digest,
    stored_name, stored_tag, tags_of,
};
use super::images::ImageTable;
use super::page::{Filling, keys_behind};
use super::{NotThere, Snapshot, missing};
use crate::oci::{Digest, Manifest, RepositoryName, Tag};
use crate::store::record::MAXIMUM_MANIFEST_TAGS;
use crate::store::row::{ManifestRow, RepositoryRow, TagRow};
use crate::store::{ManifestRecord, Page, PageRequest, RepositoryRecord, Statistics, TagRecord};

/// A part of the list of all tags.
type AllTags = Page<(RepositoryName, TagRecord), (RepositoryName, Tag)>;

impl Snapshot {
    pub(crate) fn repository(&self, name: &RepositoryName) -> Result<Option<RepositoryRecord>, Failure> {
        let found: Option<RepositoryRow> =
            row(&self.0.open_table(REPOSITORIES)?, "repository", name.as_str())?;
        Ok(found.map(|row| row.record(name.clone())))
    }

    pub(crate) fn repositories(
        &self,
        containing: Option<&str>,
        page: &PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, Failure> {
        let table = self.0.open_table(REPOSITORIES)?;
        let after = page.after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        let mut filling = Filling::new(page);
        for entry in table.range::<&str>((after, Bound::Unbounded))? {
            let (name, row) = entry?;
            if containing.is_some_and(|part| !name.value().contains(part)) {
                continue;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            let name = stored_name(name.value())?;
            let row: RepositoryRow = decode(|| format!("repository row of `{name}`"), row.value())?;
            filling.push(name.clone(), row.record(name));
        }
        Ok(filling.end())
    }

    pub(crate) fn repository_names(
        &self,
        page: &PageRequest<String>,
    ) -> Result<Page<RepositoryName, RepositoryName>, Failure> {
        let table = self.0.open_table(REPOSITORIES)?;
        let after = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut filling = Filling::of(page.limit);
        for entry in table.range::<&str>((after, Bound::Unbounded))? {
            let (name, _) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            let name = stored_name(name.value())?;
            filling.push(name.clone(), name);
        }
        Ok(filling.end())
    }

    /// Repositories of which the registry denies something.
    pub(crate) fn repositories_with_missing(
        &self,
        page: &PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, Failure> {
        let table = self.0.open_table(REPOSITORIES)?;
        let after = page.after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        let mut filling = Filling::new(page);
        for entry in table.range::<&str>((after, Bound::Unbounded))? {
            let (name, row) = entry?;
            let name = stored_name(name.value())?;
            let row: RepositoryRow = decode(|| format!("repository row of `{name}`"), row.value())?;
            if row.missing().is_none() {
                continue;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            filling.push(name.clone(), row.record(name));
        }
        Ok(filling.end())
    }

    pub(crate) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, Failure> {
        let found: Option<TagRow> = row_in(&self.0.open_table(TAGS)?, "tag", repository, tag.as_str())?;
        let Some(row) = found else { return Ok(None) };
        let platform = ImageTable::open(&self.0)?.platform_of(repository, &row)?;
        Ok(Some(row.record(tag.clone(), platform)))
    }

    pub(crate) fn tags(
        &self,
        repository: &RepositoryName,
        page: &PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, Failure> {
        let (table, images) = (self.0.open_table(TAGS)?, ImageTable::open(&self.0)?);
        let end = behind(repository);
        let mut filling = Filling::new(page);
        for entry in
            table.range(keys_behind(repository, &end, page.after.as_ref().map_or("", Tag::as_str)))?
        {
            let (key, row) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            if !filling.has_room(row.value().len()) {
                return Ok(filling.part());
            }
            let tag = stored_tag(key.value().1)?;
            let row: TagRow = decode(|| format!("tag row of `{tag}` in `{repository}`"), row.value())?;
            let platform = images.platform_of(repository, &row)?;
            filling.push(tag.clone(), row.record(tag, platform));
        }
        Ok(filling.end())
    }

    pub(crate) fn all_tags(&self, page: &PageRequest<(RepositoryName, Tag)>) -> Result<AllTags, Failure> {
        let table = self.0.open_table(TAGS)?;
        let after = page.after.as_ref().map(|(repository, tag)| (repository.as_str(), tag.as_str()));
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut filling = Filling::new(page);
        let images = ImageTable::open(&self.0)?;
        // Its rows come one repository after another.
        let mut last: Option<RepositoryName> = None;
        for entry in table.range::<(&str, &str)>((after, Bound::Unbounded))? {
            let (key, row) = entry?;
            if filling.is_full() || !filling.has_room(row.value().len()) {
                return Ok(filling.part());
            }
            let (name, tag) = key.value();
            let repository = match last.take().filter(|last| last.as_str() == name) {
                Some(last) => last,
                None => stored_name(name)?,
            };
            last = Some(repository.clone());
            let tag = stored_tag(tag)?;
            let row: TagRow = decode(|| format!("tag row of `{tag}` in `{repository}`"), row.value())?;
            let platform = images.platform_of(&repository, &row)?;
            filling.push((repository.clone(), tag.clone()), (repository, row.record(tag, platform)));
        }
        Ok(filling.end())
    }

    pub(crate) fn tag_names(
        &self,
        repository: &RepositoryName,
        page: &PageRequest<String>,
    ) -> Result<Page<Tag, Tag>, Failure> {
        let table = self.0.open_table(TAGS)?;
        let end = behind(repository);
        let mut filling = Filling::of(page.limit);
        for entry in table.range(keys_behind(repository, &end, page.after.as_deref().unwrap_or_default()))? {
            let (key, _) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            let tag = stored_tag(key.value().1)?;
            filling.push(tag.clone(), tag);
        }
        Ok(filling.end())
    }

    pub(crate) fn unsure_tags(&self, repository: &RepositoryName, tags: &[Tag]) -> Result<Vec<Tag>, Failure> {
        let repositories = self.0.open_table(REPOSITORIES)?;
        let row: Option<RepositoryRow> = row(&repositories, "repository", repository.as_str())?;
        let has_missing = row.is_some_and(|row| row.missing_tags > 0);
        let table = self.0.open_table(TAGS)?;
        let mut unsure = Vec::new();
        for tag in tags {
            let is_unsure = if has_missing {
                let row: Option<TagRow> = row_in(&table, "tag", repository, tag.as_str())?;
                row.is_none_or(|row| row.missing.is_some())
            } else {
                table.get((repository.as_str(), tag.as_str()))?.is_none()
            };
            if is_unsure {
                unsure.push(tag.clone());
            }
        }
        Ok(unsure)
    }

    pub(crate) fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Failure> {
        tags_of(&self.0.open_table(TAGS_BY_MANIFEST)?, repository, digest, usize::MAX)
    }

    pub(crate) fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Failure> {
        Ok(self.0.open_table(MANIFESTS)?.get((repository.as_str(), digest.as_str()))?.is_some())
    }

    pub(crate) fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, Failure> {
        let tables = ManifestTables::open(&self.0)?;
        let found = tables.manifests.get((repository.as_str(), digest.as_str()))?;
        let Some(rows) = found else { return Ok(None) };
        Ok(Some(tables.record(repository, digest.clone(), rows.value())?.0))
    }

    pub(crate) fn manifests(
        &self,
        repository: &RepositoryName,
        page: &PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, Failure> {
        let tables = ManifestTables::open(&self.0)?;
        let end = behind(repository);
        let after = page.after.as_ref().map_or("", Digest::as_str);
        let mut filling = Filling::new(page);
        for entry in tables.manifests.range(keys_behind(repository, &end, after))? {
            let (key, rows) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            let digest = stored_digest(key.value().1)?;
            if !filling.has_room(rows.value().1.len()) {
                return Ok(filling.part());
            }
            let (record, more) = tables.record(repository, digest.clone(), rows.value())?;
            filling.count(more);
            filling.push(digest, record);
        }
        Ok(filling.end())
    }

    pub(crate) fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, Failure> {
        let table = self.0.open_table(MANIFESTS)?;
        let Some(rows) = table.get((repository.as_str(), digest.as_str()))? else { return Ok(None) };
        let (_, document, bytes) = rows.value();
        content(repository, digest, document, bytes).map(Some)
    }

    pub(crate) fn deleted_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, Failure> {
        let table = self.0.open_table(DELETED_MANIFESTS)?;
        let Some(rows) = table.get((repository.as_str(), digest.as_str()))? else { return Ok(None) };
        let (_, document, bytes) = rows.value();
        content(repository, digest, document, bytes).map(Some)
    }

    pub(crate) fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        page: &PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, Failure> {
        let referrers = self.0.open_table(REFERRERS)?;
        let tables = ManifestTables::open(&self.0)?;
        let (name, end) = (repository.as_str(), behind(repository));
        let after = page.after.as_ref().map_or("", Digest::as_str);
        let mut filling = Filling::new(page);
        // No key has an empty third part, so an empty `after` is the beginning.
        let range =
            (Bound::Excluded((name, subject.as_str(), after)), Bound::Excluded((end.as_str(), "", "")));
        for entry in referrers.range(range)? {
            let (key, _) = entry?;
            let (_, about, digest) = key.value();
            if about != subject.as_str() {
                break;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            let digest = stored_digest(digest)?;
            let rows = tables.manifests.get((name, digest.as_str()))?.ok_or_else(|| {
                Failure::corrupt(format!("referrer `{digest}` in `{repository}`"), NotThere)
            })?;
            if !filling.has_room(rows.value().1.len()) {
                return Ok(filling.part());
            }
            let (record, more) = tables.record(repository, digest.clone(), rows.value())?;
            filling.count(more);
            filling.push(digest, record);
        }
        Ok(filling.end())
    }

    /// The sums; open intents are not counted here.
    pub(crate) fn statistics(&self) -> Result<Statistics, Failure> {
        Ok(Statistics {
            repositories: self.0.open_table(REPOSITORIES)?.len()?,
            tags: self.0.open_table(TAGS)?.len()?,
            manifests: self.0.open_table(MANIFESTS)?.len()?,
            events: self.0.open_table(EVENTS)?.len()?,
            open_intents: 0,
            hints: self.0.open_table(HINTS)?.len()?,
            missing: missing(&self.0.open_table(META)?)?,
        })
    }
}

/// A manifest from its rows.
fn content(
    repository: &RepositoryName,
    digest: &Digest,
    document: &[u8],
    bytes: &[u8],
) -> Result<Arc<Manifest>, Failure> {
    let document = decode_document(repository, digest, document)?;
    Ok(Arc::new(Manifest { bytes: Bytes::copy_from_slice(bytes), digest: digest.clone(), document }))
}

/// The tables that a manifest's record is put together from.
struct ManifestTables {
    manifests: ReadOnlyTable<TwoKeys, ManifestRows>,
    tags: ReadOnlyTable<ThreeKeys, ()>,
    images: ImageTable,
}

impl ManifestTables {
    fn open(transaction: &ReadTransaction) -> Result<Self, Failure> {
        Ok(Self {
            manifests: transaction.open_table(MANIFESTS)?,
            tags: transaction.open_table(TAGS_BY_MANIFEST)?,
            images: ImageTable::open(transaction)?,
        })
    }

    /// The record, and how many bytes it has beside those of the document.
    fn record(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        (row, document, _): (&[u8], &[u8], &[u8]),
    ) -> Result<(ManifestRecord, usize), Failure> {
        let manifest: ManifestRow = decode(|| format!("manifest row of `{digest}` in `{repository}`"), row)?;
        let document = decode_document(repository, &digest, document)?;
        let tags = tags_of(&self.tags, repository, &digest, MAXIMUM_MANIFEST_TAGS)?;
        let (image, image_bytes) = self.images.of(repository, &digest)?;
        let more = image_bytes + tags.iter().map(|tag| tag.as_str().len()).sum::<usize>();
        Ok((manifest.record(digest, document, tags, image), more))
    }
}
