//! `GET /api/v1/tags?repository=&n=&after=`

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};
use crate::store::{Source, TagRecord};

/// A tag with what is known of its manifest.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagItem {
    tag: Tag,
    digest: Digest,
    media_type: MediaType,
    bytes: u64,
    /// As `os/architecture[/variant]`.
    platforms: Vec<String>,
    pushed_at: Timestamp,
    /// Told to callers who have logged in.
    pushed_by: Option<String>,
    source: Source,
    last_pull: Option<Timestamp>,
    /// By this name, through the door.
    pulls: u64,
    /// Since when the registry denies it, if it does.
    missing_since: Option<Timestamp>,
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
            pushed_by,
            source,
            sequence: _,
            last_pull,
            pulls,
            missing,
        } = record;
        Self {
            tag,
            digest,
            media_type,
            bytes,
            platforms,
            pushed_at,
            pushed_by,
            source,
            last_pull,
            pulls,
            missing_since: missing.map(|mark| mark.since),
        }
    }
}

/// Lists the tags of a repository.
#[utoipa::path(
    get, path = "/api/v1/tags", tag = "record",
    params(("repository" = RepositoryName, Query, description = "Whose tags."), Paging),
    responses((status = 200, description = "Tags in bytewise order.", body = List<TagItem>))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Json<List<TagItem>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["repository", "n", "after"])?;
    let repository: RepositoryName = parameters.required("repository")?;
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
