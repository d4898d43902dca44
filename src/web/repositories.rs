//! `GET /api/v1/repositories?q=&namespace=&n=&after=&sort=&order=`, or with `group_by=namespace`

use std::str::FromStr;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::list::List;
use super::namespaces::{GroupBy, NamespaceList};
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::oci::{Access, RepositoryName};
use crate::search::{InvalidCursor, NamespaceCursor, RepositoryCursor, RepositoryQuestion, RepositorySort};
use crate::store::{Missing, Page, PageRequest, RepositoryRecord};

/// How many rows are looked at before others have their turn.
const PART: usize = 100;

/// A repository. It is shown to callers who may pull from it; its name alone to those who may see the whole catalog.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Repository {
    pub(super) name: RepositoryName,
    pub(super) tags: Option<u64>,
    pub(super) manifests: Option<u64>,
    /// Each manifest and blob counted once.
    pub(super) bytes: Option<u64>,
    pub(super) last_push: Option<Timestamp>,
    pub(super) last_pull: Option<Timestamp>,
    /// Through the door.
    pub(super) pulls: Option<u64>,
    /// What of it the registry denies, and is held.
    pub(super) missing: Option<Missing>,
}

impl Repository {
    /// What this viewer may see of it; nothing if they may not know of it.
    pub(super) fn seen_by(viewer: &Viewer, sees_all_names: bool, record: RepositoryRecord) -> Option<Self> {
        let RepositoryRecord { name, tags, manifests, bytes, last_push, last_pull, pulls, missing } = record;
        let may_pull = viewer.may(&Access::to_pull(name.clone()));
        let shown = |number| may_pull.then_some(number);
        (may_pull || sees_all_names).then(|| Self {
            name,
            tags: shown(tags),
            manifests: shown(manifests),
            bytes: shown(bytes),
            last_push: last_push.filter(|_| may_pull),
            last_pull: last_pull.filter(|_| may_pull),
            pulls: shown(pulls),
            missing: may_pull.then_some(missing),
        })
    }
}

/// Repositories, or namespaces.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what several handlers answer")]
pub(super) enum RepositoriesAnswer {
    Repositories(List<Repository>),
    Namespaces(NamespaceList),
}

/// Lists repositories, or what their namespaces hold.
#[utoipa::path(
    get, path = "/api/v1/repositories", tag = "record",
    params(
        ("q" = Option<String>, Query, description = "Those only whose name contains this."),
        ("namespace" = Option<String>, Query, description = "Those only whose name has this first part, and that the caller may pull; nothing for names of one part alone."),
        ("group_by" = inline(Option<GroupBy>), Query, description = "What they hold together, of those that the caller may pull."),
        ("sort" = Option<String>, Query, description = "`name`, `last_push`, `last_pull`, `pulls`, `size` or `tags`."),
        ("order" = Option<String>, Query, description = "`asc` or `desc`."),
        Paging
    ),
    responses((
        status = 200, description = "Repositories or namespaces, in bytewise order unless sorted.",
        body = inline(RepositoriesAnswer)
    ))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters =
        Parameters::parse(query.as_deref(), &["q", "namespace", "group_by", "n", "after", "sort", "order"])?;
    Ok(if let Some(GroupBy::Namespace) = parameters.optional("group_by")? {
        Json(namespaces(&state, &viewer, &parameters).await?).into_response()
    } else {
        Json(listed(&state, &viewer, &parameters).await?).into_response()
    })
}

/// What namespaces hold, as the API and the pages list it.
pub(super) async fn namespaces(
    state: &WebState,
    viewer: &Viewer,
    parameters: &Parameters<'_>,
) -> Result<NamespaceList, ApiError> {
    if parameters.text("namespace").is_some() {
        let wrong = "it goes with the list of repositories, not with `group_by`";
        return Err(ApiError::InvalidParameter { name: "namespace", source: wrong.into() });
    }
    let (question, page) = question(parameters, NamespaceCursor::sort)?;
    Ok(state.namespaces.list(&state.store, viewer, question, page).await?)
}

/// Repositories, as the API and the pages list them.
pub(super) async fn listed(
    state: &WebState,
    viewer: &Viewer,
    parameters: &Parameters<'_>,
) -> Result<List<Repository>, ApiError> {
    if ["sort", "order", "namespace"].iter().any(|name| parameters.text(name).is_some()) {
        return sorted(state, viewer, parameters).await;
    }
    unsorted(state, viewer, parameters).await
}

/// What a sorted list is asked for. `sort_of` tells in which order a place is one.
fn question<K>(
    parameters: &Parameters<'_>,
    sort_of: fn(&K) -> RepositorySort,
) -> Result<(RepositoryQuestion, PageRequest<K>), ApiError>
where
    K: FromStr<Err = InvalidCursor>,
{
    let sort: RepositorySort = parameters.optional("sort")?.unwrap_or(RepositorySort::Name);
    let order = parameters.optional("order")?.unwrap_or(sort.usual_order());
    let page = parameters.page::<K>()?;
    if page.after.as_ref().is_some_and(|after| sort_of(after) != sort) {
        return Err(ApiError::InvalidParameter { name: "after", source: InvalidCursor.into() });
    }
    let containing = parameters.text("q").filter(|text| !text.is_empty()).map(str::to_owned);
    let namespace = parameters.text("namespace").map(str::to_owned);
    if namespace.as_ref().is_some_and(|namespace| namespace.contains('/')) {
        let wrong = "it is the first part of names, in which there is no `/`";
        return Err(ApiError::InvalidParameter { name: "namespace", source: wrong.into() });
    }
    Ok((RepositoryQuestion { sort, order, containing, namespace }, page))
}

/// Lists repositories in bytewise order.
async fn unsorted(
    state: &WebState,
    viewer: &Viewer,
    parameters: &Parameters<'_>,
) -> Result<List<Repository>, ApiError> {
    let containing = parameters.text("q").filter(|text| !text.is_empty());
    let PageRequest { mut after, limit } = parameters.page()?;
    let sees_all_names = viewer.may(&Access::Catalog);
    let mut seen: Vec<Repository> = Vec::new();
    loop {
        let page = PageRequest { after, limit: PART };
        let Page { items, next } = state.store.repositories(containing, page).await?;
        for shown in
            items.into_iter().filter_map(|record| Repository::seen_by(viewer, sees_all_names, record))
        {
            if seen.len() == limit {
                // A name that is shown, so that the position tells nothing of others.
                let last = seen.last().map(|last| last.name.clone());
                return Ok(List::<Repository>::of(Page { items: seen, next: last }));
            }
            seen.push(shown);
        }
        if next.is_none() {
            return Ok(List::<Repository>::of(Page { items: seen, next }));
        }
        tokio::task::yield_now().await;
        after = next;
    }
}

/// One repository, as it stands in the list.
///
/// # Errors
/// When it is not known, to the store or to this viewer.
pub(super) async fn one(
    state: &WebState,
    viewer: &Viewer,
    name: &RepositoryName,
) -> Result<Repository, ApiError> {
    let record = state.store.repository(name).await?;
    let seen = record.and_then(|record| Repository::seen_by(viewer, viewer.may(&Access::Catalog), record));
    seen.ok_or_else(|| ApiError::RepositoryUnknown(name.clone()))
}

/// Lists repositories in another order, those only that the caller may pull from: the order tells of what is not shown of others.
async fn sorted(
    state: &WebState,
    viewer: &Viewer,
    parameters: &Parameters<'_>,
) -> Result<List<Repository>, ApiError> {
    let (question, page) = question(parameters, RepositoryCursor::sort)?;
    let Page { items, next } = state.search.repositories(question, page, viewer.sees()).await?;
    let items = items.into_iter().filter_map(|record| Repository::seen_by(viewer, false, record)).collect();
    Ok(List::<Repository>::of(Page { items, next }))
}
