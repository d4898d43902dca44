//! Why a write has no answer of the registry's, and what its client is told.

use http::StatusCode;

use super::deletion_outcome::UnknownDeletion;
use crate::registry::CarryError;
use crate::store::StoreError;

/// Why a write has no answer for its client.
#[derive(Debug, thiserror::Error)]
pub enum CarryFailure {
    /// The intent could not be written down: the registry has heard nothing.
    #[error("the write could not be noted before being carried: {0}")]
    NotNoted(#[source] StoreError),
    /// Other writes to the same reference took too long: the registry has heard nothing.
    #[error("other writes to the same reference did not end in time")]
    Busy,
    /// The registry could not be reached, or its answer did not come.
    #[error(transparent)]
    Registry(#[from] CarryError),
    /// The registry answered, but the outcome could not be written down. It will be verified.
    #[error("the registry's answer could not be recorded: {0}")]
    NotRecorded(#[source] StoreError),
    /// The registry deleted a manifest, but it is not known which tags went with it. It will be verified.
    #[error("it is not known what the deletion took with it: {0}")]
    UnknownDeletion(#[source] UnknownDeletion),
    /// The registry's answer is a success, but none that says that it took the write, and asked about it, it did not say so
    /// either. It will be verified.
    #[error("the registry answered {0}, and does not confirm the write when it is asked")]
    Unconfirmed(StatusCode),
    /// The registry did the write, but other doors have taken this one for dead meanwhile and ask the registry themselves.
    #[error("the registry's answer came when this door no longer had the write")]
    Lost,
    /// The task failed in an unforeseen way. What became of the write will be verified.
    #[error("carrying the write failed in an unforeseen way")]
    Failed,
}

impl CarryFailure {
    /// What the client is told: the cause is for the log.
    pub const fn told(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotNoted(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the door cannot write its record now, so the registry was not asked; try again later",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "other writes to the same tag take too long, so the registry was not asked; try again later",
            ),
            Self::Registry(CarryError::NotSigned(_)) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the door failed on this write, and the registry was not asked; its log says why",
            ),
            Self::Registry(CarryError::NotSent(_)) => (
                StatusCode::BAD_GATEWAY,
                "the registry refuses connections or cannot be reached; nothing was written",
            ),
            Self::Registry(CarryError::TimedOut(_)) => (
                StatusCode::GATEWAY_TIMEOUT,
                "the registry did not answer in time; whether it took the write is being found out",
            ),
            Self::Registry(CarryError::Lost(_)) => (
                StatusCode::BAD_GATEWAY,
                "the connection to the registry broke before its answer; whether it took the write is being found out",
            ),
            Self::NotRecorded(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the registry took the write, but the door cannot write its record now; try again later",
            ),
            Self::UnknownDeletion(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the registry deleted the manifest, but does not say which tags went with it; that is being found out",
            ),
            Self::Unconfirmed(_) => (
                StatusCode::BAD_GATEWAY,
                "the registry's answer does not say that it took the write; whether it did is being found out",
            ),
            Self::Lost => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the door was taken for dead while it carried this write; what became of it is being found out",
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the door failed on this write; what became of it is being found out",
            ),
        }
    }
}
