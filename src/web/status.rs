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
    pub(super) state: ServiceState,
    #[schema(value_type = String)]
    pub(super) version: &'static str,
    pub(super) store: StoreStatus,
    pub(super) registry: RegistryStatus,
    pub(super) open_intents: u64,
    pub(super) verifications: VerificationStatus,
    pub(super) hints: HintStatus,
    pub(super) sweep: SweepStatus,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HintStatus {
    pub(super) waiting: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoreStatus {
    /// Who it is. Another store that has the same name is a copy of it.
    pub(super) identity: Epoch,
    /// The epoch of the last event, as the events show it.
    pub(super) epoch: Epoch,
    pub(super) writable: bool,
    /// What keeps it from being written, in words; nothing while it can be.
    pub(super) trouble: Option<String>,
    pub(super) repositories: u64,
    pub(super) tags: u64,
    pub(super) manifests: u64,
    pub(super) events: u64,
    /// What the registry denies and the record keeps all the same.
    pub(super) missing: Missing,
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
    read(&state).await.map(Json)
}

/// The state of everything, as the API and the pages show it.
pub(super) async fn read(state: &WebState) -> Result<Status, ApiError> {
    let Statistics { repositories, tags, manifests, events, open_intents, hints, missing } =
        state.store.statistics().await?;
    let History { identity, epoch } = state.store.history().await?;
    Ok(Status {
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
    })
}
