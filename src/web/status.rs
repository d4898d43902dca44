//! `GET /api/v1/status`.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::parameters::Parameters;
use super::state::WebState;
use super::status_source::{RegistryStatus, ServiceState, VerificationStatus};
use crate::store::{Epoch, History, Missing, Statistics};
use crate::sync::SweepStatus;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    state: ServiceState,
    #[schema(value_type = String)]
    version: &'static str,
    store: StoreStatus,
    registry: RegistryStatus,
    open_intents: u64,
    verifications: VerificationStatus,
    hints: HintStatus,
    sweep: SweepStatus,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HintStatus {
    waiting: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoreStatus {
    /// Who it is. Another store that has the same name is a copy of it.
    identity: Epoch,
    /// The epoch of the last event, as the events show it.
    epoch: Epoch,
    writable: bool,
    /// What keeps it from being written, in words; nothing while it can be.
    trouble: Option<String>,
    repositories: u64,
    tags: u64,
    manifests: u64,
    events: u64,
    /// What the registry denies and the record keeps all the same.
    missing: Missing,
}

/// Shows the state of everything.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "door",
    responses((status = 200, description = "The state of door, store and registry.", body = Status))
)]
pub(super) async fn show(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Status>, ApiError> {
    Parameters::parse(query.as_deref(), &[])?;
    let Statistics { repositories, tags, manifests, events, open_intents, hints, missing } =
        state.store.statistics().await?;
    let History { identity, epoch } = state.store.history().await?;
    Ok(Json(Status {
        state: state.service_state(),
        version: env!("CARGO_PKG_VERSION"),
        store: StoreStatus {
            identity,
            epoch,
            writable: state.store.is_writable(),
            trouble: state.store.trouble().map(|trouble| trouble.to_string()),
            repositories,
            tags,
            manifests,
            events,
            missing,
        },
        registry: state.status.registry(),
        open_intents,
        verifications: state.status.verifications(),
        hints: HintStatus { waiting: hints },
        sweep: state.sweeper.status().await?,
    }))
}
