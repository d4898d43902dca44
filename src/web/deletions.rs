//! What deletes: `DELETE /api/v1/tags?repository=&tag=`, `POST /api/v1/tags/delete?repository=`,
//! `DELETE /api/v1/manifests?repository=&digest=` and `DELETE /api/v1/repositories?repository=`.
//! `POST /api/v1/undelete?repository=` puts back.

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorEntry};
use super::json_body;
use super::manifest_reader::ManifestReader;
use super::parameters::Parameters;
use super::state::WebState;
use super::writer::Writer;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::PageRequest;
use crate::sync::{DeletionError, Undeleted, Undeletion, WriteContext, is_empty_manifest};

/// The longest body: a hundred tags.
const MAXIMUM_BYTES: usize = 32 * 1024;
/// How many tags one request names at most.
pub(super) const MOST_TAGS: usize = 100;
/// How many manifests or tags one request to delete a repository deletes at most.
const AT_ONCE: usize = 100;

/// A tag that is deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeletedTag {
    repository: RepositoryName,
    tag: Tag,
    /// What it pointed to, as far as that was recorded. The manifest stays.
    digest: Option<Digest>,
}

/// A manifest that is deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeletedManifest {
    repository: RepositoryName,
    digest: Digest,
    /// The tags that went with it.
    tags: Vec<Tag>,
}

/// What is deleted of a repository.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmptiedRepository {
    pub(super) repository: RepositoryName,
    /// Manifests that this request deleted.
    pub(super) manifests: usize,
    /// Tags that this request deleted, with their manifests or alone.
    pub(super) tags: usize,
    /// Whether nothing is left; else the same request deletes more.
    pub(super) is_empty: bool,
}

/// Tags to delete.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TagsToDelete {
    #[schema(min_items = 1, max_items = 100)]
    tags: Vec<Tag>,
}

/// What became of each tag, in the order in which they were named.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagDeletions {
    pub(super) items: Vec<TagOutcome>,
}

/// What became of a tag.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagOutcome {
    pub(super) tag: Tag,
    /// What it pointed to, as far as that was recorded.
    digest: Option<Digest>,
    /// Why it is not deleted, if it is not.
    pub(super) error: Option<ErrorEntry>,
}

/// What to put back: a tag, a manifest, or a tag to a certain manifest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ToUndelete {
    /// The tag. Without a digest it points again to what it pointed to when it was deleted.
    tag: Option<Tag>,
    /// The manifest. Without a tag, those tags come back that went with it and do not exist now.
    digest: Option<Digest>,
}

/// What was put back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PutBack {
    repository: RepositoryName,
    pub(super) digest: Digest,
    /// The tags that were put back.
    pub(super) tags: Vec<Tag>,
    /// The manifests that were put back since this one names them.
    children: Vec<Digest>,
}

/// The one parameter of some routes.
fn repository(query: Option<&str>) -> Result<RepositoryName, ApiError> {
    Parameters::parse(query, &["repository"])?.required("repository")
}

/// Deletes one tag: the manifest that it points to, and other tags of that, stay.
#[utoipa::path(
    delete, path = "/api/v1/tags", tag = "record",
    params(
        ("repository" = RepositoryName, Query, description = "Whose tag."),
        ("tag" = Tag, Query, description = "Which one.")
    ),
    responses((status = 200, description = "It is deleted.", body = DeletedTag))
)]
pub(super) async fn delete_tag(
    State(state): State<WebState>,
    Writer(context): Writer,
    RawQuery(query): RawQuery,
) -> Result<Json<DeletedTag>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["repository", "tag"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    let tag: Tag = parameters.required("tag")?;
    tag_deleted(&state, &context, repository, tag).await.map(Json)
}

/// Deletes one tag for the API or a page.
pub(super) async fn tag_deleted(
    state: &WebState,
    context: &WriteContext,
    repository: RepositoryName,
    tag: Tag,
) -> Result<DeletedTag, ApiError> {
    let digest = state.store.tag(&repository, &tag).await?.map(|record| record.digest);
    state.writes.deleter.delete(&repository, &Reference::Tag(tag.clone()), context).await?;
    Ok(DeletedTag { repository, tag, digest })
}

/// Deletes tags one after the other, and tells of each what became of it.
#[utoipa::path(
    post, path = "/api/v1/tags/delete", tag = "record",
    params(("repository" = RepositoryName, Query, description = "Whose tags.")),
    request_body = TagsToDelete,
    responses((status = 200, description = "What became of each tag.", body = TagDeletions))
)]
pub(super) async fn delete_tags(
    State(state): State<WebState>,
    Writer(context): Writer,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<TagDeletions>, ApiError> {
    let repository = repository(query.as_deref())?;
    let remedy = "; write {\"tags\": [\"v1\", …]}, at most 100 of them";
    let TagsToDelete { tags } = json_body::read(request, MAXIMUM_BYTES, remedy).await?;
    if tags.is_empty() || tags.len() > MOST_TAGS {
        let source = format!("it names {} tags", tags.len()).into();
        return Err(ApiError::InvalidBody { source, remedy });
    }
    Ok(Json(TagDeletions { items: tags_deleted(&state, &context, &repository, tags).await }))
}

/// Deletes tags one after the other for the API or a page.
pub(super) async fn tags_deleted(
    state: &WebState,
    context: &WriteContext,
    repository: &RepositoryName,
    tags: Vec<Tag>,
) -> Vec<TagOutcome> {
    let mut items = Vec::with_capacity(tags.len());
    for tag in tags {
        let (digest, error) = match state.store.tag(repository, &tag).await {
            Ok(found) => {
                let reference = Reference::Tag(tag.clone());
                let deleted = state.writes.deleter.delete(repository, &reference, context).await;
                (found.map(|record| record.digest), deleted.err().map(ApiError::from))
            }
            // Those before it are deleted, and are told of all the same.
            Err(error) => (None, Some(ApiError::from(error))),
        };
        items.push(TagOutcome { tag, digest, error: error.as_ref().map(ErrorEntry::of) });
    }
    items
}

/// Deletes a manifest, with all tags that point to it.
#[utoipa::path(
    delete, path = "/api/v1/manifests", tag = "record",
    params(
        ("repository" = RepositoryName, Query, description = "Whose manifest."),
        ("digest" = Digest, Query, description = "Which one.")
    ),
    responses((status = 200, description = "It is deleted.", body = DeletedManifest))
)]
pub(super) async fn delete_manifest(
    State(state): State<WebState>,
    Writer(context): Writer,
    RawQuery(query): RawQuery,
) -> Result<Json<DeletedManifest>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["repository", "digest"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    let digest: Digest = parameters.required("digest")?;
    manifest_deleted(&state, &context, repository, digest).await.map(Json)
}

/// Deletes one manifest for the API or a page.
pub(super) async fn manifest_deleted(
    state: &WebState,
    context: &WriteContext,
    repository: RepositoryName,
    digest: Digest,
) -> Result<DeletedManifest, ApiError> {
    let tags = state.store.tags_of(&repository, &digest).await?;
    state.writes.deleter.delete(&repository, &Reference::Digest(digest.clone()), context).await?;
    Ok(DeletedManifest { repository, digest, tags })
}

/// Deletes manifests and tags of a repository, some at once: to be asked again until nothing is left. The registry goes on to
/// list the empty repository until its own storage is cleaned up.
#[utoipa::path(
    delete, path = "/api/v1/repositories", tag = "record",
    params(("repository" = RepositoryName, Query, description = "Which one.")),
    responses((status = 200, description = "So much is deleted.", body = EmptiedRepository))
)]
pub(super) async fn delete_repository(
    State(state): State<WebState>,
    Writer(context): Writer,
    RawQuery(query): RawQuery,
) -> Result<Json<EmptiedRepository>, ApiError> {
    let repository = repository(query.as_deref())?;
    let mut deleted = Deleted::default();
    let is_empty = emptied(&state, &context, &repository, &mut deleted).await?;
    let Deleted { manifests, tags } = deleted;
    Ok(Json(EmptiedRepository { repository, manifests, tags, is_empty }))
}

/// How much is deleted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Deleted {
    /// Manifests.
    pub(super) manifests: usize,
    /// Tags, with their manifests or alone.
    pub(super) tags: usize,
}

/// Deletes some of what a repository has, for the API or a page; answers whether nothing is left. What is deleted is counted also where
/// it ends with an error.
pub(super) async fn emptied(
    state: &WebState,
    context: &WriteContext,
    repository: &RepositoryName,
    deleted: &mut Deleted,
) -> Result<bool, ApiError> {
    if state.store.repository(repository).await?.is_none() {
        return Err(ApiError::RepositoryUnknown(repository.clone()));
    }
    let page = PageRequest { after: None, limit: AT_ONCE };
    let (digests, has_more) = {
        let part = ManifestReader::wait(state).await?.list(repository, None, page).await?;
        let digests: Vec<Digest> = part.items.into_iter().map(|record| record.digest).collect();
        (digests, part.next.is_some())
    };
    // What the registry does not have is asked about after its answer, and goes from the record then.
    let delete =
        async |reference: Reference| match state.writes.deleter.delete(repository, &reference, context).await
        {
            Ok(()) => Ok(true),
            Err(DeletionError::NotThere(_)) => Ok(false),
            Err(error) => Err(ApiError::from(error)),
        };
    for digest in digests {
        let with_it = state.store.tags_of(repository, &digest).await?.len();
        if delete(Reference::Digest(digest)).await? {
            deleted.manifests += 1;
            deleted.tags += with_it;
        }
    }
    // Tags whose manifest the registry had lost before.
    let page = PageRequest { after: None, limit: AT_ONCE };
    let left = if has_more { Vec::new() } else { state.store.tags(repository, page).await?.items };
    for record in left {
        deleted.tags += usize::from(delete(Reference::Tag(record.tag)).await?);
    }
    let left = state.store.repository(repository).await?;
    Ok(left.is_none_or(|record| record.manifests == 0 && record.tags == 0))
}

/// Whether this is, or was, one of those manifests by which single tags are deleted at registries that cannot.
pub(super) async fn is_of_deleted_tag(
    state: &WebState,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<bool, ApiError> {
    let manifest = state.store.deleted_manifest(repository, digest).await?;
    Ok(manifest.is_some_and(|manifest| is_empty_manifest(&manifest)))
}

/// Whether what a manifest said is known, so that it can be put back: it is there, or was deleted not long ago.
pub(super) async fn is_known(
    state: &WebState,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<bool, ApiError> {
    Ok(state.store.has_manifest(repository, digest).await?
        || state.store.deleted_manifest(repository, digest).await?.is_some())
}

/// Whether a tag or a manifest is not there now.
pub(super) async fn is_gone(
    state: &WebState,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<bool, ApiError> {
    Ok(match reference {
        Reference::Tag(tag) => state.store.tag(repository, tag).await?.is_none(),
        Reference::Digest(digest) => !state.store.has_manifest(repository, digest).await?,
    })
}

/// Puts back a tag or a manifest that was deleted, while the registry has its blobs.
#[utoipa::path(
    post, path = "/api/v1/undelete", tag = "record",
    params(("repository" = RepositoryName, Query, description = "In which repository.")),
    request_body = ToUndelete,
    responses((status = 200, description = "It is put back.", body = PutBack))
)]
pub(super) async fn undelete(
    State(state): State<WebState>,
    Writer(context): Writer,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<PutBack>, ApiError> {
    let repository = repository(query.as_deref())?;
    let remedy =
        "; write {\"tag\": \"v1\"} or {\"digest\": \"sha256:…\"}, or both to point a tag to a manifest";
    let undeletion = match json_body::read(request, MAXIMUM_BYTES, remedy).await? {
        ToUndelete { tag: Some(tag), digest } => Undeletion::Tag { tag, digest },
        ToUndelete { tag: None, digest: Some(digest) } => Undeletion::Manifest { digest },
        ToUndelete { tag: None, digest: None } => {
            return Err(ApiError::InvalidBody { source: "it names nothing".into(), remedy });
        }
    };
    put_back(&state, context, repository, undeletion).await.map(Json)
}

/// Puts something back for the API or a page.
pub(super) async fn put_back(
    state: &WebState,
    context: WriteContext,
    repository: RepositoryName,
    undeletion: Undeletion,
) -> Result<PutBack, ApiError> {
    let undeleted = state.writes.undeleter.undelete(repository.clone(), undeletion, context).await?;
    let Undeleted { digest, tags, children } = undeleted;
    Ok(PutBack { repository, digest, tags, children })
}
