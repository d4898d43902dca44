//! `GET /api/v1/search?q=&n=&after=`

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::repositories::Repository;
use super::state::WebState;
use super::tags::TagOfRepository;
use crate::auth::Viewer;
use crate::search::{Found, FoundCursor, Query};
use crate::store::Page;

/// What was found, as its list shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum FoundItem {
    /// A repository.
    Repository(Repository),
    /// A tag.
    Tag(TagOfRepository),
}

/// Looks for repositories and tags, of what the caller may pull: what fits best first, and of that the newest.
#[utoipa::path(
    get, path = "/api/v1/search", tag = "record",
    params(("q" = String, Query, description = "What is looked for."), Paging),
    responses((status = 200, description = "What was found, what fits best first.", body = List<FoundItem>))
)]
pub(super) async fn find(
    State(state): State<WebState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Json<List<FoundItem>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["q", "n", "after"])?;
    found(&state, &viewer, &parameters).await.map(Json)
}

/// What was found, as the API and the pages show it.
pub(super) async fn found(
    state: &WebState,
    viewer: &Viewer,
    parameters: &Parameters<'_>,
) -> Result<List<FoundItem>, ApiError> {
    let wanted: Query = parameters.required("q")?;
    let page = parameters.page::<FoundCursor>()?;
    let Page { items, next } = state.search.find(wanted, page, viewer.sees()).await?;
    let item = |found| match found {
        Found::Repository(record) => Repository::seen_by(viewer, false, record).map(FoundItem::Repository),
        Found::Tag(repository, record) => {
            Some(FoundItem::Tag(TagOfRepository::seen_by(viewer, repository, record)))
        }
    };
    let items = items.into_iter().filter_map(item).collect();
    Ok(List::<FoundItem>::of(Page { items, next }))
}
