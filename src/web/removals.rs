//! `GET /api/v1/removals?n=&after=`: what the registry denies and the record keeps all the same, by repository.
//! `POST /api/v1/removals/accept`: it is gone.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::command_peer::MaybePeer;
use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use super::sync::{self, Accepted};
use crate::auth::Viewer;
use crate::oci::RepositoryName;
use crate::store::RepositoryRecord;
use crate::store::SweepKind;

/// A repository of which something is held.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeldRepository {
    pub(super) repository: RepositoryName,
    /// Tags that the registry denies.
    pub(super) tags: u64,
    /// Manifests that it denies.
    pub(super) manifests: u64,
}

impl From<RepositoryRecord> for HeldRepository {
    fn from(record: RepositoryRecord) -> Self {
        let RepositoryRecord { name, missing, .. } = record;
        Self { repository: name, tags: missing.tags, manifests: missing.manifests }
    }
}

/// Lists repositories of which something is held.
#[utoipa::path(
    get, path = "/api/v1/removals", tag = "door", params(Paging),
    responses((status = 200, description = "Repositories in bytewise order.", body = List<HeldRepository>))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<HeldRepository>>, ApiError> {
    held(&state, &Parameters::parse(query.as_deref(), &["n", "after"])?).await.map(Json)
}

/// Repositories of which something is held, as the API and the pages show them.
pub(super) async fn held(
    state: &WebState,
    parameters: &Parameters<'_>,
) -> Result<List<HeldRepository>, ApiError> {
    Ok(List::of(state.store.repositories_with_missing(parameters.page()?).await?))
}

/// Accepts the removal of all that is held now, and asks for the sweep that carries it out.
#[utoipa::path(
    post, path = "/api/v1/removals/accept", tag = "door",
    responses((status = 202, description = "A sweep is asked for.", body = Accepted))
)]
pub(super) async fn accept(
    State(state): State<WebState>,
    viewer: Viewer,
    peer: MaybePeer,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(accepted(&state, &viewer, peer).await?)))
}

/// Accepts it for whoever asks.
pub(super) async fn accepted(
    state: &WebState,
    viewer: &Viewer,
    peer: MaybePeer,
) -> Result<Accepted, ApiError> {
    sync::accept_removals(state, viewer, peer).await?;
    sync::request(state, SweepKind::Shallow).await
}
