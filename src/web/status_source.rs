//! What the running door tells about itself, for the status and for readiness. `server.rs` implements it.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Estimate;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RegistryStatus {
    /// Whether any backend is healthy.
    pub reachable: bool,
    /// What keeps the door from its work there, in words; nothing while all is well.
    #[schema(value_type = Option<String>)]
    pub trouble: Option<Cow<'static, str>>,
    /// Each backend, in the order of the configuration.
    pub backends: Vec<BackendStatus>,
    /// Its clock; nothing before its first answer.
    pub clock: Option<ClockStatus>,
}

/// How far the registry's clock is from the door's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BackendStatus {
    /// Its URL.
    pub url: String,
    /// Whether it takes requests.
    pub healthy: bool,
    /// The status of something that answers there and is no registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<u16>,
    /// How long it took to answer the last time that it was asked whether it is there; nothing before it ever did.
    pub latency_milliseconds: Option<f64>,
}

/// The work of the verifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct VerificationStatus {
    /// References that the registry still has to be asked about.
    pub pending: u64,
    /// References that were settled since the start.
    pub completed: u64,
    /// Questions since the start that got no answer, and are asked again.
    pub failed: u64,
}
