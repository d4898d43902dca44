//! [`Records`] over the database.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::Row;

use super::super::PostgresStore;
use super::super::failure::{Failure, decode};
use super::super::query::query;
use super::super::reading::{any_text, page, paged, rows_for, understood};
use super::super::transaction::{digest, name, tag};
use crate::oci::{Digest, ImageConfig, Manifest, RepositoryName, Tag};
use crate::store::row::{ManifestRow, RepositoryRow, TagRow};
use crate::store::{
    ManifestRecord, Missing, Page, PageRequest, Records, RepositoryRecord, Statistics, StoreError, TagRecord,
};

const REPOSITORIES: &str = "
SELECT name, content FROM repositories
WHERE ($1::text IS NULL OR name > $1) AND ($2::text IS NULL OR position($2 IN name) > 0) ORDER BY name LIMIT $3";
const WITH_MISSING: &str = "
SELECT name, content FROM repositories WHERE is_missing AND ($1::text IS NULL OR name > $1) ORDER BY name LIMIT $2";
const TAG: &str = "
SELECT t.tag, t.content, i.platform FROM tags t LEFT JOIN images i ON i.repository = t.repository AND i.digest = t.digest
WHERE t.repository = $1 AND t.tag = $2";
const TAGS: &str = paged!(
    "tag, content, platform",
    "tag",
    "octet_length(content)",
    "FROM (SELECT t.tag, t.content, i.platform FROM tags t
     LEFT JOIN images i ON i.repository = t.repository AND i.digest = t.digest
     WHERE t.repository = $1 AND ($2::text IS NULL OR t.tag > $2) ORDER BY t.tag LIMIT $3) c"
);
const ALL_TAGS: &str = paged!(
    "repository, tag, content, platform",
    "repository, tag",
    "octet_length(content)",
    "FROM (SELECT t.repository, t.tag, t.content, i.platform FROM tags t
     LEFT JOIN images i ON i.repository = t.repository AND i.digest = t.digest
     WHERE $1::text IS NULL OR (t.repository, t.tag) > ($1, $2::text) ORDER BY t.repository, t.tag LIMIT $3) c"
);
const UNSURE_TAGS: &str = "
SELECT k.tag FROM unnest($2::text[]) WITH ORDINALITY AS k(tag, place)
LEFT JOIN tags t ON t.repository = $1 AND t.tag = k.tag WHERE t.tag IS NULL OR t.is_missing ORDER BY k.place";
const MANIFESTS: &str = paged!(
    "digest, content, document, tags, image",
    "digest",
    "octet_length(document) + coalesce(octet_length(image), 0) + coalesce(octet_length(tags::text), 0)",
    "FROM (SELECT m.digest, m.content, m.document,
     ARRAY(SELECT t.tag FROM tags t WHERE t.repository = m.repository AND t.digest = m.digest
           ORDER BY t.tag LIMIT 1000) AS tags,
     (SELECT i.content FROM images i WHERE i.repository = m.repository AND i.digest = m.digest) AS image
     FROM manifests m WHERE m.repository = $1 AND ($2::text IS NULL OR m.digest > $2) ORDER BY m.digest LIMIT $3) c"
);
const REFERRERS: &str = paged!(
    "digest, content, document, tags, image",
    "digest",
    "octet_length(document) + coalesce(octet_length(image), 0) + coalesce(octet_length(tags::text), 0)",
    "FROM (SELECT m.digest, m.content, m.document,
     ARRAY(SELECT t.tag FROM tags t WHERE t.repository = m.repository AND t.digest = m.digest
           ORDER BY t.tag LIMIT 1000) AS tags,
     (SELECT i.content FROM images i WHERE i.repository = m.repository AND i.digest = m.digest) AS image
     FROM manifests m WHERE m.repository = $1 AND m.subject = $4 AND ($2::text IS NULL OR m.digest > $2) ORDER BY m.digest LIMIT $3) c"
);
const MANIFEST: &str = "
SELECT m.digest, m.content, m.document,
    ARRAY(SELECT t.tag FROM tags t WHERE t.repository = m.repository AND t.digest = m.digest ORDER BY t.tag LIMIT 1000),
    (SELECT i.content FROM images i WHERE i.repository = m.repository AND i.digest = m.digest)
FROM manifests m WHERE m.repository = $1 AND m.digest = $2";

impl PostgresStore {
    /// The manifest in the row that this statement finds by repository and digest.
    async fn content(
        &self,
        sql: &'static str,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        let row = self.row(query!(sql, repository.to_string(), digest.to_string())).await?;
        understood(|| row.map(|row| content(repository, digest, &row)).transpose())
    }
}

#[async_trait]
impl Records for PostgresStore {
    fn missing(&self) -> Missing {
        *self.shared.missing.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn repositories_with_missing(
        &self,
        request: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let after = request.after.as_ref().map(ToString::to_string);
        let rows = self.rows(query!(WITH_MISSING, after, rows_for(request.limit))).await?;
        page(&rows, request.limit, false, repository_record)
    }

    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError> {
        let sql = "SELECT name, content FROM repositories WHERE name = $1";
        let row = self.row(query!(sql, repository.to_string())).await?;
        understood(|| Ok(row.as_ref().map(repository_record).transpose()?.map(|(_, record)| record)))
    }

    async fn repositories(
        &self,
        containing: Option<&str>,
        request: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        // No name has one, and the database takes none in a text.
        if containing.is_some_and(|part| part.contains('\0')) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let after = request.after.as_ref().map(ToString::to_string);
        let containing = containing.map(str::to_owned);
        let rows = self.rows(query!(REPOSITORIES, after, containing, rows_for(request.limit))).await?;
        page(&rows, request.limit, false, repository_record)
    }

    async fn repository_names(
        &self,
        request: PageRequest<String>,
    ) -> Result<Page<RepositoryName, RepositoryName>, StoreError> {
        let sql = "SELECT name FROM repositories WHERE $1::text IS NULL OR name > $1 ORDER BY name LIMIT $2";
        let rows = self.rows(query!(sql, any_text(request.after), rows_for(request.limit))).await?;
        page(&rows, request.limit, false, |row| {
            let name = name(row.try_get(0)?)?;
            Ok((name.clone(), name))
        })
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        let row = self.row(query!(TAG, repository.to_string(), tag.to_string())).await?;
        understood(|| row.as_ref().map(|row| tag_record(row, 0)).transpose())
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError> {
        let after = request.after.as_ref().map(ToString::to_string);
        let rows = self.rows(query!(TAGS, repository.to_string(), after, rows_for(request.limit))).await?;
        page(&rows, request.limit, true, |row| {
            let record = tag_record(row, 0)?;
            Ok((record.tag.clone(), record))
        })
    }

    async fn all_tags(
        &self,
        request: PageRequest<(RepositoryName, Tag)>,
    ) -> Result<Page<(RepositoryName, TagRecord), (RepositoryName, Tag)>, StoreError> {
        let after = request.after.map(|(repository, tag)| (repository.to_string(), tag.to_string()));
        let (repository, tag) = after.unzip();
        let rows = self.rows(query!(ALL_TAGS, repository, tag, rows_for(request.limit))).await?;
        page(&rows, request.limit, true, |row| {
            let (repository, record) = (name(row.try_get(0)?)?, tag_record(row, 1)?);
            Ok(((repository.clone(), record.tag.clone()), (repository, record)))
        })
    }

    async fn tag_names(
        &self,
        repository: &RepositoryName,
        request: PageRequest<String>,
    ) -> Result<Page<Tag, Tag>, StoreError> {
        let sql = "
SELECT tag FROM tags WHERE repository = $1 AND ($2::text IS NULL OR tag > $2) ORDER BY tag LIMIT $3";
        let after = any_text(request.after);
        let rows = self.rows(query!(sql, repository.to_string(), after, rows_for(request.limit))).await?;
        page(&rows, request.limit, false, |row| {
            let tag = tag(row.try_get(0)?)?;
            Ok((tag.clone(), tag))
        })
    }

    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError> {
        let asked: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let rows = self.rows(query!(UNSURE_TAGS, repository.to_string(), asked)).await?;
        understood(|| rows.iter().map(|row| tag(row.try_get(0)?)).collect())
    }

    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError> {
        let sql = "SELECT tag FROM tags WHERE repository = $1 AND digest = $2 ORDER BY tag";
        let rows = self.rows(query!(sql, repository.to_string(), digest.to_string())).await?;
        understood(|| rows.iter().map(|row| tag(row.try_get(0)?)).collect())
    }

    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM manifests WHERE repository = $1 AND digest = $2";
        Ok(self.row(query!(sql, repository.to_string(), digest.to_string())).await?.is_some())
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        let row = self.row(query!(MANIFEST, repository.to_string(), digest.to_string())).await?;
        understood(|| Ok(row.as_ref().map(manifest_record).transpose()?.map(|(_, record)| record)))
    }

    async fn manifests(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let after = request.after.as_ref().map(ToString::to_string);
        let rows =
            self.rows(query!(MANIFESTS, repository.to_string(), after, rows_for(request.limit))).await?;
        page(&rows, request.limit, true, manifest_record)
    }

    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        let sql = "SELECT document, bytes FROM manifests WHERE repository = $1 AND digest = $2";
        self.content(sql, repository, digest).await
    }

    async fn deleted_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        let sql = "SELECT document, bytes FROM deleted_manifests WHERE repository = $1 AND digest = $2";
        self.content(sql, repository, digest).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        request: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let (name, after) = (repository.to_string(), request.after.as_ref().map(ToString::to_string));
        let rows =
            self.rows(query!(REFERRERS, name, after, rows_for(request.limit), subject.to_string())).await?;
        page(&rows, request.limit, true, manifest_record)
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        let sums = self.sums().await?;
        Ok(Statistics {
            repositories: sums.totals.repositories,
            tags: sums.totals.tags,
            manifests: sums.totals.manifests,
            events: sums.events,
            open_intents: sums.open_intents,
            hints: sums.hints,
            missing: sums.missing,
        })
    }
}

fn repository_record(row: &Row) -> Result<(RepositoryName, RepositoryRecord), Failure> {
    let name = name(row.try_get(0)?)?;
    let row: RepositoryRow = decode(|| format!("repository row of `{name}`"), row.try_get(1)?)?;
    Ok((name.clone(), row.record(name)))
}

/// A tag from its columns, which begin there: its name, its row, and the platform of its image.
fn tag_record(row: &Row, first: usize) -> Result<TagRecord, Failure> {
    let tag = tag(row.try_get(first)?)?;
    let platform: Option<Vec<u8>> = row.try_get(first + 2)?;
    let platform = platform.map(String::from_utf8).transpose();
    let platform = platform.map_err(|cause| Failure::corrupt(format!("platform of tag `{tag}`"), cause))?;
    let row: TagRow = decode(|| format!("tag row of `{tag}`"), row.try_get(first + 1)?)?;
    let platform = platform.filter(|_| row.wants_platform());
    Ok(row.record(tag, platform))
}

fn manifest_record(row: &Row) -> Result<(Digest, ManifestRecord), Failure> {
    let digest = digest(row.try_get(0)?)?;
    let content: ManifestRow = decode(|| format!("manifest row of `{digest}`"), row.try_get(1)?)?;
    let document = decode(|| format!("document of `{digest}`"), row.try_get(2)?)?;
    let tags: Vec<&str> = row.try_get(3)?;
    let tags = tags.into_iter().map(tag).collect::<Result<_, _>>()?;
    let image: Option<&[u8]> = row.try_get(4)?;
    let image: Option<Option<ImageConfig>> =
        image.map(|image| decode(|| format!("image `{digest}`"), image)).transpose()?;
    Ok((digest.clone(), content.record(digest, document, tags, image.flatten())))
}

/// A manifest from its document and its bytes.
fn content(repository: &RepositoryName, digest: &Digest, row: &Row) -> Result<Arc<Manifest>, Failure> {
    let document = decode(|| format!("document of `{digest}` in `{repository}`"), row.try_get(0)?)?;
    let bytes: &[u8] = row.try_get(1)?;
    Ok(Arc::new(Manifest { bytes: Bytes::copy_from_slice(bytes), digest: digest.clone(), document }))
}
