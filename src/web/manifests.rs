//! `GET /api/v1/manifests?repository=&digest=`, and without `digest` the list, with `n` and `after`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::WebState;
use super::error::ApiError;
use super::list::List;
use super::parameters::Parameters;
use crate::clock::Timestamp;
use crate::oci::{Descriptor, Digest, ManifestKind, MediaType, RepositoryName, Tag};
use crate::store::{ManifestRecord, Page, Source, Store, StoreError};

/// A manifest as it was parsed.
#[derive(Debug, Serialize)]
struct ManifestItem {
    digest: Digest,
    media_type: MediaType,
    kind: ManifestKind,
    size: u64,
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    children: Vec<Descriptor>,
    subject: Option<Descriptor>,
    artifact_type: Option<MediaType>,
    annotations: BTreeMap<String, String>,
    tags: Vec<Tag>,
    referrers: Vec<Referrer>,
    pushed_at: Timestamp,
    source: Source,
    /// Since when the registry denies it, if it does.
    missing_since: Option<Timestamp>,
}

/// A manifest whose subject is the one that is shown.
#[derive(Debug, Serialize)]
struct Referrer {
    digest: Digest,
    media_type: MediaType,
    artifact_type: Option<MediaType>,
    size: u64,
    annotations: BTreeMap<String, String>,
}

impl From<ManifestRecord> for Referrer {
    fn from(record: ManifestRecord) -> Self {
        let ManifestRecord { digest, media_type, artifact_type, size, annotations, .. } = record;
        Self { digest, media_type, artifact_type, size, annotations }
    }
}

impl ManifestItem {
    /// The manifest with its referrers, which its record does not hold.
    async fn of(
        store: &dyn Store,
        repository: &RepositoryName,
        record: ManifestRecord,
    ) -> Result<Self, StoreError> {
        let referrers = store.referrers(repository, &record.digest).await?;
        let ManifestRecord {
            digest,
            media_type,
            kind,
            size,
            config,
            layers,
            children,
            subject,
            artifact_type,
            annotations,
            tags,
            pushed_at,
            source,
            missing,
        } = record;
        Ok(Self {
            digest,
            media_type,
            kind,
            size,
            config,
            layers,
            children,
            subject,
            artifact_type,
            annotations,
            tags,
            referrers: referrers.into_iter().map(Referrer::from).collect(),
            pushed_at,
            source,
            missing_since: missing.map(|mark| mark.since),
        })
    }
}

/// Shows one manifest, or lists those of a repository.
pub(super) async fn list_or_show(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["repository", "digest", "n", "after"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    match parameters.optional("digest")? {
        Some(digest) => {
            if let Some(name) = ["n", "after"].into_iter().find(|name| parameters.text(name).is_some()) {
                let wrong = "it goes with the list, not with one `digest`".to_owned();
                return Err(ApiError::InvalidParameter { name, wrong });
            }
            show(&*state.store, repository, digest).await
        }
        None => list(&*state.store, repository, &parameters).await,
    }
}

async fn show(store: &dyn Store, repository: RepositoryName, digest: Digest) -> Result<Response, ApiError> {
    match store.manifest(&repository, &digest).await? {
        Some(record) => Ok(Json(ManifestItem::of(store, &repository, record).await?).into_response()),
        None if store.repository(&repository).await?.is_none() => {
            Err(ApiError::RepositoryUnknown(repository))
        }
        None => Err(ApiError::ManifestUnknown { repository, digest }),
    }
}

async fn list(
    store: &dyn Store,
    repository: RepositoryName,
    parameters: &Parameters<'_>,
) -> Result<Response, ApiError> {
    let Page { items: records, next } = store.manifests(&repository, parameters.page()?).await?;
    if records.is_empty() && store.repository(&repository).await?.is_none() {
        return Err(ApiError::RepositoryUnknown(repository));
    }
    let mut items = Vec::with_capacity(records.len());
    for record in records {
        items.push(ManifestItem::of(store, &repository, record).await?);
    }
    Ok(List::<ManifestItem>::of(Page { items, next }).into_response())
}
