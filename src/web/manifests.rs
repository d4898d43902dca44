//! `GET /api/v1/manifests?repository=&digest=`; without `digest` the list, with `n` and `after`, and with `subject` of those that
//! refer to one.
//!
//! A manifest may have megabytes, so lists leave out what only a single one needs, and few are made at a time.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::error::ApiError;
use super::list::List;
use super::parameters::Parameters;
use super::state::WebState;
use crate::clock::Timestamp;
use crate::oci::{Descriptor, Digest, ManifestKind, MediaType, RepositoryName, Tag};
use crate::store::{ManifestRecord, Page, PageRequest, Source, Store, StoreError};

/// How many referrers are shown with a manifest; the others are listed.
const REFERRERS: usize = 100;
/// How many answers about manifests are made at a time: each may take several times its length while it is made.
static MAKING: Semaphore = Semaphore::const_new(4);

/// A manifest as it was parsed, whole or in a list.
#[derive(Debug, Serialize)]
struct ManifestItem {
    digest: Digest,
    media_type: MediaType,
    kind: ManifestKind,
    size: u64,
    config: Option<Descriptor>,
    /// Not in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Descriptor>>,
    children: Vec<Descriptor>,
    subject: Option<Descriptor>,
    artifact_type: Option<MediaType>,
    annotations: BTreeMap<String, String>,
    tags: Vec<Tag>,
    #[serde(flatten)]
    referrers: Option<Referrers>,
    pushed_at: Timestamp,
    source: Source,
    /// Since when the registry denies it, if it does.
    missing_since: Option<Timestamp>,
}

/// The first of those that refer to a manifest. Not in a list.
#[derive(Debug, Serialize)]
struct Referrers {
    referrers: Vec<Referrer>,
    /// What to give as `after`, with the manifest as `subject`, for the next ones.
    referrers_next: Option<Digest>,
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

impl From<ManifestRecord> for ManifestItem {
    /// As it stands in a list.
    fn from(record: ManifestRecord) -> Self {
        let ManifestRecord {
            digest,
            media_type,
            kind,
            size,
            config,
            layers: _,
            children,
            subject,
            artifact_type,
            annotations,
            tags,
            pushed_at,
            source,
            missing,
        } = record;
        Self {
            digest,
            media_type,
            kind,
            size,
            config,
            layers: None,
            children,
            subject,
            artifact_type,
            annotations,
            tags,
            referrers: None,
            pushed_at,
            source,
            missing_since: missing.map(|mark| mark.since),
        }
    }
}

impl ManifestItem {
    /// The manifest whole, with its referrers, which its record does not hold.
    async fn whole(
        store: &dyn Store,
        repository: &RepositoryName,
        mut record: ManifestRecord,
    ) -> Result<Self, StoreError> {
        let page = PageRequest { after: None, limit: REFERRERS };
        let Page { items, next } = store.referrers(repository, &record.digest, page).await?;
        let referrers = items.into_iter().map(Referrer::from).collect();
        let layers = Some(std::mem::take(&mut record.layers));
        let referrers = Some(Referrers { referrers, referrers_next: next });
        Ok(Self { layers, referrers, ..Self::from(record) })
    }
}

/// Shows one manifest, or lists those of a repository.
pub(super) async fn list_or_show(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["repository", "digest", "subject", "n", "after"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    let digest = parameters.optional("digest")?;
    if digest.is_some()
        && let Some(name) = ["subject", "n", "after"].into_iter().find(|name| parameters.text(name).is_some())
    {
        let wrong = "it goes with the list, not with one `digest`".to_owned();
        return Err(ApiError::InvalidParameter { name, source: wrong.into() });
    }
    // It is never closed; what waits here is bounded by the requests under way.
    let _making = MAKING.acquire().await.ok();
    match digest {
        Some(digest) => show(&*state.store, repository, digest).await,
        None => list(&*state.store, repository, &parameters).await,
    }
}

async fn show(store: &dyn Store, repository: RepositoryName, digest: Digest) -> Result<Response, ApiError> {
    match store.manifest(&repository, &digest).await? {
        Some(record) => Ok(Json(ManifestItem::whole(store, &repository, record).await?).into_response()),
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
    let page = parameters.page()?;
    let page = match parameters.optional("subject")? {
        Some(subject) => store.referrers(&repository, &subject, page).await?,
        None => store.manifests(&repository, page).await?,
    };
    if page.items.is_empty() && store.repository(&repository).await?.is_none() {
        return Err(ApiError::RepositoryUnknown(repository));
    }
    Ok(List::<ManifestItem>::of(page).into_response())
}
