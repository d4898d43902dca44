//! `GET /api/v1/tags?repository=&n=&after=`, and without `repository` over all of them, sorted and filtered.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};
use crate::search::{InvalidCursor, TagCursor, TagFilter, TagQuestion, TagSort};
use crate::store::{Page, Source, TagRecord};

/// A tag with what is known of its manifest.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagItem {
    pub(super) tag: Tag,
    pub(super) digest: Digest,
    pub(super) media_type: MediaType,
    pub(super) bytes: u64,
    /// As `os/architecture[/variant]`.
    pub(super) platforms: Vec<String>,
    /// When the door carried the push; nothing where it did not.
    pub(super) pushed_at: Option<Timestamp>,
    /// When it was found, where the door did not carry the push.
    pub(super) found_at: Option<Timestamp>,
    /// Told to callers who have logged in.
    pub(super) pushed_by: Option<String>,
    pub(super) source: Source,
    pub(super) last_pull: Option<Timestamp>,
    /// By this name, through the door.
    pub(super) pulls: u64,
    /// When it was last pulled or looked at, by this name.
    pub(super) last_seen: Option<Timestamp>,
    /// Since when the registry denies it, if it does.
    pub(super) missing_since: Option<Timestamp>,
}

impl TagItem {
    /// When somebody last looked what it points to, where that was after the last pull.
    pub(super) fn seen_since_pull(&self) -> Option<Timestamp> {
        self.last_seen.filter(|seen| Some(*seen) > self.last_pull)
    }
}

impl From<TagRecord> for TagItem {
    fn from(record: TagRecord) -> Self {
        let TagRecord {
            tag,
            digest,
            media_type,
            bytes,
            platforms,
            pushed_at,
            found_at,
            pushed_by,
            source,
            sequence: _,
            last_pull,
            pulls,
            last_seen,
            missing,
        } = record;
        Self {
            tag,
            digest,
            media_type,
            bytes,
            platforms,
            pushed_at,
            found_at,
            pushed_by,
            source,
            last_pull,
            pulls,
            last_seen,
            missing_since: missing.map(|mark| mark.since),
        }
    }
}

/// A tag with its repository, where those of several are listed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagOfRepository {
    pub(super) repository: RepositoryName,
    #[serde(flatten)]
    pub(super) tag: TagItem,
}

impl TagOfRepository {
    /// What this viewer may see of it.
    pub(super) fn seen_by(viewer: &Viewer, repository: RepositoryName, mut record: TagRecord) -> Self {
        if !viewer.may_see_actors() {
            record.pushed_by = None;
        }
        Self { repository, tag: record.into() }
    }
}

/// Tags of one repository, or of several.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what two handlers answer")]
pub(super) enum TagAnswer {
    OfOne(List<TagItem>),
    OfSeveral(List<TagOfRepository>),
}

/// What makes a list of tags another than that of one repository's in the order of their names.
const SORTED_BY: [&str; 8] =
    ["q", "sort", "order", "pulled_before", "pushed_before", "digest", "platform", "annotation"];

/// Lists tags: of a repository in the order of their names, or of all repositories, of one as well, sorted and filtered.
#[utoipa::path(
    get, path = "/api/v1/tags", tag = "record",
    params(
        ("repository" = Option<RepositoryName>, Query, description = "Whose tags: without it, those of all."),
        ("q" = Option<String>, Query, description = "Those only whose name contains this."),
        ("sort" = Option<String>, Query, description = "`name`, `pushed_at`, `last_pull` or `size`."),
        ("order" = Option<String>, Query, description = "`asc` or `desc`."),
        ("pulled_before" = Option<Timestamp>, Query, description = "Last pulled before, or never."),
        ("pushed_before" = Option<Timestamp>, Query, description = "Pushed before, as far as that is known."),
        ("digest" = Option<Digest>, Query, description = "With this digest."),
        ("platform" = Option<String>, Query, description = "For this platform, as `os/architecture[/variant]`."),
        ("annotation" = Option<String>, Query, description = "Whose manifest has this one, as `key=value`."),
        Paging
    ),
    responses((status = 200, description = "Tags, in bytewise order unless sorted.", body = inline(TagAnswer)))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters = Parameters::parse(
        query.as_deref(),
        &[
            "repository",
            "q",
            "n",
            "after",
            "sort",
            "order",
            "pulled_before",
            "pushed_before",
            "digest",
            "platform",
            "annotation",
        ],
    )?;
    let repository: Option<RepositoryName> = parameters.optional("repository")?;
    match repository {
        Some(repository) if SORTED_BY.iter().all(|name| parameters.text(name).is_none()) => {
            Ok(Json(of_repository(&state, &viewer, repository, &parameters).await?).into_response())
        }
        repository => Ok(Json(sorted(&state, &viewer, repository, &parameters).await?).into_response()),
    }
}

/// Tags of one repository, in the order of their names.
pub(super) async fn of_repository(
    state: &WebState,
    viewer: &Viewer,
    repository: RepositoryName,
    parameters: &Parameters<'_>,
) -> Result<List<TagItem>, ApiError> {
    let mut page = state.store.tags(&repository, parameters.page()?).await?;
    // Most repositories that are asked for are there: whether this one is matters only when nothing was found.
    if page.items.is_empty() && state.store.repository(&repository).await?.is_none() {
        return Err(ApiError::RepositoryUnknown(repository));
    }
    if !viewer.may_see_actors() {
        page.items.iter_mut().for_each(|record| record.pushed_by = None);
    }
    Ok(List::of(page))
}

/// One tag.
///
/// # Errors
/// When it is not known.
pub(super) async fn one(
    state: &WebState,
    viewer: &Viewer,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<TagItem, ApiError> {
    match state.store.tag(repository, tag).await? {
        Some(record) => Ok(TagOfRepository::seen_by(viewer, repository.clone(), record).tag),
        None => Err(ApiError::TagUnknown { repository: repository.clone(), tag: tag.clone() }),
    }
}

/// All tags that point to a manifest.
pub(super) async fn of_manifest(
    state: &WebState,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<Tag>, ApiError> {
    Ok(state.store.tags_of(repository, digest).await?)
}

/// Tags of all repositories, or of one, sorted and filtered as the parameters say.
pub(super) async fn sorted(
    state: &WebState,
    viewer: &Viewer,
    repository: Option<RepositoryName>,
    parameters: &Parameters<'_>,
) -> Result<List<TagOfRepository>, ApiError> {
    let sort: TagSort = parameters.optional("sort")?.unwrap_or(TagSort::Name);
    let order = parameters.optional("order")?.unwrap_or(sort.usual_order());
    let page = parameters.page::<TagCursor>()?;
    if page.after.as_ref().is_some_and(|after| after.sort() != sort) {
        return Err(ApiError::InvalidParameter { name: "after", source: InvalidCursor.into() });
    }
    // Those who ask about one may pull from it: the table of routes says so.
    if let Some(repository) = &repository
        && state.store.repository(repository).await?.is_none()
    {
        return Err(ApiError::RepositoryUnknown(repository.clone()));
    }
    let filter = TagFilter {
        repository,
        containing: parameters.text("q").filter(|text| !text.is_empty()).map(str::to_owned),
        pulled_before: parameters.optional("pulled_before")?,
        pushed_before: parameters.optional("pushed_before")?,
        digest: parameters.optional("digest")?,
        platform: parameters.text("platform").map(str::to_owned),
        annotation: parameters.optional("annotation")?,
    };
    let question = TagQuestion { sort, order, filter };
    let Page { items, next } = state.search.tags(question, page, viewer.sees()).await?;
    let seen = |(repository, record)| TagOfRepository::seen_by(viewer, repository, record);
    let items = items.into_iter().map(seen).collect();
    Ok(List::<TagOfRepository>::of(Page { items, next }))
}
