//! `GET /api/v1/repositories?q=&n=&after=`

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
use crate::oci::{Access, Action, Actions, RepositoryName};
use crate::store::{Missing, Page, RepositoryRecord};

/// A repository. Beside its name nothing is shown to callers who may not pull from it: the names are what the catalog tells.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Repository {
    name: RepositoryName,
    tags: Option<u64>,
    manifests: Option<u64>,
    /// Each manifest and blob counted once.
    bytes: Option<u64>,
    last_push: Option<Timestamp>,
    last_pull: Option<Timestamp>,
    /// Through the door.
    pulls: Option<u64>,
    /// What of it the registry denies, and is held.
    missing: Option<Missing>,
}

impl Repository {
    /// What this viewer may see of it.
    fn seen_by(viewer: &Viewer, record: RepositoryRecord) -> Self {
        let RepositoryRecord { name, tags, manifests, bytes, last_push, last_pull, pulls, missing } = record;
        let may_pull = viewer.may(&Access::to(name.clone(), Actions::of(&[Action::Pull])));
        let shown = |number| may_pull.then_some(number);
        Self {
            name,
            tags: shown(tags),
            manifests: shown(manifests),
            bytes: shown(bytes),
            last_push: last_push.filter(|_| may_pull),
            last_pull: last_pull.filter(|_| may_pull),
            pulls: shown(pulls),
            missing: may_pull.then_some(missing),
        }
    }
}

/// Lists repositories.
#[utoipa::path(
    get, path = "/api/v1/repositories", tag = "record",
    params(("q" = Option<String>, Query, description = "Those only whose name contains this."), Paging),
    responses((status = 200, description = "Repositories in bytewise order.", body = List<Repository>))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Repository>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["q", "n", "after"])?;
    let containing = parameters.text("q").filter(|text| !text.is_empty());
    let Page { items, next } = state.store.repositories(containing, parameters.page()?).await?;
    let items = items.into_iter().map(|record| Repository::seen_by(&viewer, record)).collect();
    Ok(List::<Repository>::of(Page { items, next }))
}
