//! `POST /api/v1/sync`: a sweep now.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body;
use super::command_peer::{MaybePeer, name_of};
use super::error::ApiError;
use super::json_body::{self, NoObject};
use super::state::WebState;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::store::{AuthEventKind, RequestedSweep, Sequence, SweepKind};

/// The longest body, for two switches.
const MAXIMUM_BYTES: usize = 4 * 1024;

/// What is asked for; without a body a shallow sweep.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WantedSweep {
    /// Whether to ask for the digest of every tag.
    deep: bool,
    /// Whether what is held to be missing is to be removed if the registry still denies it.
    accept_removals: bool,
}

/// What comes of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// The number of the sweep, as `GET /api/v1/status` will show it. It begins after this request.
    pub(super) sweep: u64,
    /// The last event before it.
    since: Sequence,
    /// Since when sweeps are numbered, as the status shows it: another record has other numbers.
    numbered_since: Timestamp,
}

/// What to write instead of a body that cannot be read.
const REMEDY: &str =
    "; write {\"deep\": true} or {\"deep\": false}, and {\"accept_removals\": true} to remove what is held";

/// Asks for a sweep. It may have to wait for one that runs.
#[utoipa::path(
    post, path = "/api/v1/sync", tag = "door", request_body = Option<WantedSweep>,
    responses((status = 202, description = "It is asked for.", body = Accepted))
)]
pub(super) async fn start(
    State(state): State<WebState>,
    viewer: Viewer,
    peer: MaybePeer,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let body = body::read(request, MAXIMUM_BYTES).await?;
    let wanted = if body.is_empty() {
        WantedSweep::default()
    } else {
        let invalid = |error: NoObject| ApiError::InvalidBody { source: error.into(), remedy: REMEDY };
        json_body::object(&body).map_err(invalid)?
    };
    if wanted.accept_removals {
        accept_removals(&state, &viewer, peer).await?;
    }
    let kind = if wanted.deep { SweepKind::Deep } else { SweepKind::Shallow };
    Ok((StatusCode::ACCEPTED, Json(self::request(&state, kind).await?)))
}

/// Keeps the operator's word that what is missing now is gone.
pub(super) async fn accept_removals(
    state: &WebState,
    viewer: &Viewer,
    peer: MaybePeer,
) -> Result<(), ApiError> {
    let missing = state.store.missing();
    let by = name_of(viewer, peer).await;
    tracing::warn!(
        by,
        tags = missing.tags,
        manifests = missing.manifests,
        "the removal of what is missing is accepted"
    );
    state.sweeper.accept_removals().await?;
    let about = format!(
        "the removal of what is missing was accepted: {} tags, {} manifests",
        missing.tags, missing.manifests
    );
    state.accounts.journal().note(AuthEventKind::Policy, by.as_deref(), None, about);
    Ok(())
}

/// Asks for a sweep, as the API and the pages do.
pub(super) async fn request(state: &WebState, kind: SweepKind) -> Result<Accepted, ApiError> {
    let since = state.store.sequence().await?;
    let RequestedSweep { number: sweep, numbered_since } = state.sweeper.request(kind).await?;
    Ok(Accepted { sweep, since, numbered_since })
}
