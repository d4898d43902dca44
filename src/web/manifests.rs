//! `GET /api/v1/manifests?repository=&digest=`, or `&tag=`; without both the list, with `n` and `after`, and with `subject` of those that
//! refer to one.
//!
//! A manifest may have megabytes, so lists leave out what only a single one needs, and few are made at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::clock::Timestamp;
use crate::oci::{
    BuildStep, Descriptor, Digest, Document, ImageConfig, ManifestKind, MediaType, Reference, RepositoryName,
    Tag,
};
use crate::store::{ManifestRecord, Page, PageRequest, Records, Source, StoreError};

/// How many referrers are shown with a manifest; the others are listed.
const REFERRERS: usize = 100;
/// How many answers about manifests are made at a time: each may take several times its length while it is made.
static MAKING: Semaphore = Semaphore::const_new(4);

/// A manifest as it is recorded, whole or in a list.
#[derive(Debug)]
pub(super) struct ManifestItem {
    pub(super) record: ManifestRecord,
    /// Not in a list, and neither are the layers.
    pub(super) referrers: Option<Referrers>,
}

/// A manifest as it is recorded. `layers`, `referrers` and `referrers_next` are not in lists.
#[derive(ToSchema)]
#[expect(dead_code, reason = "`ManifestItem` writes this; this describes it")]
pub(super) struct Manifest {
    digest: Digest,
    media_type: MediaType,
    kind: ManifestKind,
    /// In bytes.
    size: u64,
    #[schema(required)]
    config: Option<Descriptor>,
    #[schema(required = false)]
    layers: Vec<Descriptor>,
    children: Vec<Descriptor>,
    #[schema(required)]
    subject: Option<Descriptor>,
    #[schema(required)]
    artifact_type: Option<MediaType>,
    annotations: BTreeMap<String, String>,
    tags: Vec<Tag>,
    #[schema(required = false)]
    referrers: Vec<Referrer>,
    /// The `after` for the next referrers.
    referrers_next: Option<Digest>,
    /// When the door carried the push; nothing where it did not.
    #[schema(required)]
    pushed_at: Option<Timestamp>,
    /// When it was found, where the door did not carry the push.
    #[schema(required)]
    found_at: Option<Timestamp>,
    source: Source,
    /// What the configuration of an image says, once it was read.
    #[schema(required)]
    image: Option<ImageItem<'static>>,
    /// Since when the registry denies it, if it does.
    #[schema(required)]
    missing_since: Option<Timestamp>,
}

/// One manifest, or a list of them.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what two handlers answer")]
pub(super) enum ManifestAnswer {
    One(Box<Manifest>),
    List(List<Manifest>),
}

/// The first of those that refer to a manifest. Not in a list.
#[derive(Debug)]
pub(super) struct Referrers {
    pub(super) first: Vec<Referrer>,
    /// What to give as `after`, with the manifest as `subject`, for the next ones.
    pub(super) next: Option<Digest>,
}

/// A manifest whose subject is the one that is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Referrer {
    pub(super) digest: Digest,
    media_type: MediaType,
    pub(super) artifact_type: Option<MediaType>,
    pub(super) size: u64,
    pub(super) annotations: BTreeMap<String, String>,
}

impl From<ManifestRecord> for Referrer {
    fn from(record: ManifestRecord) -> Self {
        let Document { media_type, artifact_type, size, annotations, .. } = record.document;
        Self { digest: record.digest, media_type, artifact_type, size, annotations }
    }
}

impl From<ManifestRecord> for ManifestItem {
    /// As it stands in a list.
    fn from(record: ManifestRecord) -> Self {
        Self { record, referrers: None }
    }
}

impl Serialize for ManifestItem {
    /// What is not there is `null`, other than in the store.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ManifestRecord { digest, document, tags, pushed_at, found_at, source, missing, image } =
            &self.record;
        let Document {
            media_type,
            kind,
            size,
            config,
            layers,
            children,
            subject,
            artifact_type,
            annotations,
        } = document;
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("digest", digest)?;
        fields.serialize_entry("media_type", media_type)?;
        fields.serialize_entry("kind", kind)?;
        fields.serialize_entry("size", size)?;
        fields.serialize_entry("config", config)?;
        if self.referrers.is_some() {
            fields.serialize_entry("layers", layers)?;
        }
        fields.serialize_entry("children", children)?;
        fields.serialize_entry("subject", subject)?;
        fields.serialize_entry("artifact_type", artifact_type)?;
        fields.serialize_entry("annotations", annotations)?;
        fields.serialize_entry("tags", tags)?;
        if let Some(Referrers { first, next }) = &self.referrers {
            fields.serialize_entry("referrers", first)?;
            fields.serialize_entry("referrers_next", next)?;
        }
        fields.serialize_entry("pushed_at", pushed_at)?;
        fields.serialize_entry("found_at", found_at)?;
        fields.serialize_entry("source", source)?;
        let is_whole = self.referrers.is_some();
        let image = image.as_ref().map(|config| ImageItem::of(config, is_whole));
        fields.serialize_entry("image", &image)?;
        fields.serialize_entry("missing_since", &missing.map(|mark| mark.since))?;
        fields.end()
    }
}

/// What an image says of itself.
#[derive(Debug, Serialize, ToSchema)]
struct ImageItem<'a> {
    /// As `os/architecture[/variant]`.
    platform: Option<String>,
    os_version: Option<&'a str>,
    created: Option<Timestamp>,
    author: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    user: Option<&'a str>,
    working_directory: Option<&'a str>,
    entry_point: &'a [String],
    command: &'a [String],
    exposed_ports: &'a [String],
    /// Not in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<BuildStepItem<'a>>>,
    /// Whether the image says more than is kept.
    is_cut: bool,
}

/// One step of how an image was made.
#[derive(Debug, Serialize, ToSchema)]
struct BuildStepItem<'a> {
    created: Option<Timestamp>,
    command: Option<&'a str>,
    comment: Option<&'a str>,
    is_empty_layer: bool,
}

impl<'a> ImageItem<'a> {
    fn of(config: &'a ImageConfig, is_whole: bool) -> Self {
        let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
        let step = |step: &'a BuildStep| BuildStepItem {
            created: time(&step.created),
            command: step.command.as_deref(),
            comment: step.comment.as_deref(),
            is_empty_layer: step.is_empty_layer,
        };
        Self {
            platform: config.platform.as_ref().map(ToString::to_string),
            os_version: config.os_version.as_deref(),
            created: time(&config.created),
            author: config.author.as_deref(),
            labels: &config.labels,
            user: config.user.as_deref(),
            working_directory: config.working_directory.as_deref(),
            entry_point: &config.entry_point,
            command: &config.command,
            exposed_ports: &config.exposed_ports,
            history: is_whole.then(|| config.history.iter().map(step).collect()),
            is_cut: config.is_cut,
        }
    }
}

impl ManifestItem {
    /// The manifest whole, with its referrers, which its record does not hold.
    async fn whole(
        store: &dyn Records,
        repository: &RepositoryName,
        record: ManifestRecord,
    ) -> Result<Self, StoreError> {
        let page = PageRequest { after: None, limit: REFERRERS };
        let Page { items, next } = store.referrers(repository, &record.digest, page).await?;
        let first = items.into_iter().map(Referrer::from).collect();
        Ok(Self { record, referrers: Some(Referrers { first, next }) })
    }
}

/// Shows one manifest, or lists those of a repository.
#[utoipa::path(
    get, path = "/api/v1/manifests", tag = "record",
    params(
        ("repository" = RepositoryName, Query, description = "In which repository."),
        ("digest" = Option<Digest>, Query, description = "One manifest, whole: without it, they are listed."),
        ("tag" = Option<Tag>, Query, description = "The same by a tag that points to it."),
        ("subject" = Option<Digest>, Query, description = "Those only that refer to this one."),
        Paging
    ),
    responses((
        status = 200, description = "One manifest, or manifests in bytewise order of their digests.",
        body = inline(ManifestAnswer)
    ))
)]
pub(super) async fn list_or_show(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters =
        Parameters::parse(query.as_deref(), &["repository", "digest", "tag", "subject", "n", "after"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    let digest = parameters.optional("digest")?;
    let tag: Option<Tag> = parameters.optional("tag")?;
    if digest.is_some() && tag.is_some() {
        let wrong = "a manifest is named by its `digest` or by a `tag`, not by both".to_owned();
        return Err(ApiError::InvalidParameter { name: "tag", source: wrong.into() });
    }
    if (digest.is_some() || tag.is_some())
        && let Some(name) = ["subject", "n", "after"].into_iter().find(|name| parameters.text(name).is_some())
    {
        let wrong = "it goes with the list, not with one `digest` or `tag`".to_owned();
        return Err(ApiError::InvalidParameter { name, source: wrong.into() });
    }
    let named = tag.map(Reference::Tag).or(digest.map(Reference::Digest));
    match named {
        Some(reference) => Ok(Json(one(&state, &repository, reference).await?).into_response()),
        None => {
            let _making = MAKING.acquire().await.ok();
            list(&*state.store, repository, &parameters).await
        }
    }
}

/// One manifest, whole.
///
/// # Errors
/// When it is not known.
pub(super) async fn one(
    state: &WebState,
    repository: &RepositoryName,
    reference: Reference,
) -> Result<ManifestItem, ApiError> {
    // It is never closed; what waits here is bounded by the requests under way.
    let _making = MAKING.acquire().await.ok();
    let store = &*state.store;
    let digest = match reference {
        Reference::Tag(tag) => digest_of(store, repository, tag).await?,
        Reference::Digest(digest) => digest,
    };
    match store.manifest(repository, &digest).await? {
        Some(record) => Ok(ManifestItem::whole(store, repository, record).await?),
        None if store.repository(repository).await?.is_none() => {
            Err(ApiError::RepositoryUnknown(repository.clone()))
        }
        None => Err(ApiError::ManifestUnknown { repository: repository.clone(), digest }),
    }
}

/// How many parts of an index are looked at for its size.
const PARTS: usize = 32;

/// The bytes of a manifest and of the blobs that it names; of an index with those of its parts, each counted once, as far as they are
/// recorded.
pub(super) async fn bytes_with_parts(
    state: &WebState,
    repository: &RepositoryName,
    document: &Document,
) -> Result<u64, ApiError> {
    let own = |document: &Document| -> BTreeMap<Digest, u64> {
        document.blobs().into_iter().map(|(digest, size)| (digest.clone(), size)).collect()
    };
    let mut blobs = own(document);
    for child in document.child_manifests().take(PARTS) {
        if let Some(record) = state.store.manifest(repository, child).await? {
            blobs.extend(own(&record.document));
            blobs.insert(record.digest, record.document.size);
        }
    }
    Ok(blobs.into_values().fold(document.size, u64::saturating_add))
}

/// The same of a manifest by its digest; nothing if it is not recorded.
pub(super) async fn bytes_of(
    state: &WebState,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<u64>, ApiError> {
    match state.store.manifest(repository, digest).await? {
        Some(record) => Ok(Some(bytes_with_parts(state, repository, &record.document).await?)),
        None => Ok(None),
    }
}

/// The document itself of a manifest, as `/v2/` answers it to those who may pull; nothing if it is not kept.
pub(super) async fn content(
    state: &WebState,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<Arc<crate::oci::Manifest>>, ApiError> {
    Ok(state.store.manifest_content(repository, digest).await?)
}

async fn digest_of(store: &dyn Records, repository: &RepositoryName, tag: Tag) -> Result<Digest, ApiError> {
    match store.tag(repository, &tag).await? {
        Some(record) => Ok(record.digest),
        None if store.repository(repository).await?.is_none() => {
            Err(ApiError::RepositoryUnknown(repository.clone()))
        }
        None => Err(ApiError::TagUnknown { repository: repository.clone(), tag }),
    }
}

async fn list(
    store: &dyn Records,
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
    Ok(Json(List::<ManifestItem>::of(page)).into_response())
}
