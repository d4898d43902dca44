//! `GET /api/v1/status`, and what the running door tells for it.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;

use super::WebState;
use super::error::ApiError;
use super::parameters::Parameters;
use crate::clock::Estimate;
use crate::store::{Epoch, History, Missing, Statistics};
use crate::sync::SweepStatus;

/// What the running door knows about itself. Asked for every readiness check, so the answers must be at hand.
pub trait StatusSource: Send + Sync {
    /// How far the door is in its life.
    fn state(&self) -> ServiceState;
    /// What is known of the registry.
    fn registry(&self) -> RegistryStatus;
    /// What there is to verify.
    fn verifications(&self) -> VerificationStatus;
}

/// How far the door is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Not yet taking traffic: intents of the last run are being verified.
    Starting,
    /// All is well.
    Ready,
    /// Serving what can be served: the registry, the store or the record is not what it should be.
    Degraded,
    /// Letting running transfers finish.
    Stopping,
}

/// What is known of the registry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegistryStatus {
    /// Whether any backend is healthy.
    pub reachable: bool,
    /// Each backend, in the order of the configuration.
    pub backends: Vec<BackendStatus>,
    /// Its clock; nothing before its first answer.
    pub clock: Option<ClockStatus>,
}

/// How far the registry's clock is from the door's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClockStatus {
    /// Seconds by which it is ahead; negative if it is behind.
    pub offset_seconds: f64,
    /// How far that may be wrong.
    pub bound_seconds: f64,
}

impl From<Estimate> for ClockStatus {
    #[expect(clippy::cast_precision_loss, reason = "exact for some hundred thousand years")]
    fn from(estimate: Estimate) -> Self {
        Self {
            offset_seconds: estimate.offset as f64 / 1000.0,
            bound_seconds: estimate.bound as f64 / 1000.0,
        }
    }
}

/// What is known of one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendStatus {
    /// Its URL.
    pub url: String,
    /// Whether it takes requests.
    pub healthy: bool,
    /// The status of something that answers there and is no registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<u16>,
}

/// The work of the verifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerificationStatus {
    /// References that the registry still has to be asked about.
    pub pending: u64,
    /// References that were settled since the start.
    pub completed: u64,
    /// Questions since the start that got no answer, and are asked again.
    pub failed: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Status {
    state: ServiceState,
    version: &'static str,
    store: StoreStatus,
    registry: RegistryStatus,
    open_intents: u64,
    verifications: VerificationStatus,
    hints: HintStatus,
    sweep: SweepStatus,
}

#[derive(Debug, Serialize)]
struct HintStatus {
    waiting: u64,
}

#[derive(Debug, Serialize)]
struct StoreStatus {
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

impl WebState {
    /// The state of door, store and record together: a door whose store cannot be written, or whose registry denies much of
    /// what is recorded, is not quite as it should be.
    pub(super) fn service_state(&self) -> ServiceState {
        match self.status.state() {
            ServiceState::Ready if !self.store.is_writable() || !self.store.missing().is_none() => {
                ServiceState::Degraded
            }
            state => state,
        }
    }
}

/// Shows the state of everything.
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
        sweep: state.sweeper.status(),
    }))
}
