//! What the API writes to the registry by. `server.rs` puts it together.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;

use crate::registry::RegistryCredentials;
use crate::sync::{CarryFailure, Deleter, DeletionError, RefusedWrite, Undeleter, UndeletionError};

/// The code of what was not done for a reason that its caller cannot change.
const NOT_DONE: &str = "not_done";

/// What the API writes to the registry by.
#[derive(Clone)]
pub struct Writes {
    /// Deletes.
    pub deleter: Deleter,
    /// Puts back.
    pub undeleter: Undeleter,
    /// The door's credentials for the registry; none where an open door shows the registry its clients' own.
    pub credentials: Option<Arc<RegistryCredentials>>,
}

/// What a caller is told whose deletion was not done: the status, the code, and words. Causes are for the log.
pub(super) fn deletion_told(error: &DeletionError) -> (StatusCode, &'static str, Cow<'static, str>) {
    match error {
        DeletionError::NotThere(_) => (StatusCode::NOT_FOUND, "not_there", error.to_string().into()),
        DeletionError::Unsupported => {
            (StatusCode::METHOD_NOT_ALLOWED, "deletion_unsupported", error.to_string().into())
        }
        DeletionError::Refused(answer) => refused(answer, error.to_string()),
        DeletionError::Tag(error) => {
            let (status, message) = error.told();
            let code = match status {
                StatusCode::METHOD_NOT_ALLOWED => "deletion_unsupported",
                _ => NOT_DONE,
            };
            (status, code, message)
        }
        DeletionError::Carry(failure) => not_carried(failure),
    }
}

/// What a caller is told for whom nothing was put back, or not everything.
pub(super) fn undeletion_told(error: &UndeletionError) -> (StatusCode, &'static str, Cow<'static, str>) {
    let message = error.to_string();
    match error {
        UndeletionError::TagThere { .. } | UndeletionError::ManifestThere(_) => {
            (StatusCode::CONFLICT, "not_deleted", message.into())
        }
        UndeletionError::NeverDeleted { .. } => (StatusCode::NOT_FOUND, "never_deleted", message.into()),
        UndeletionError::Forgotten(_) => (StatusCode::GONE, "manifest_forgotten", message.into()),
        UndeletionError::BlobsGone { .. } => (StatusCode::GONE, "blobs_gone", message.into()),
        UndeletionError::TooManyChildren(_) => (StatusCode::CONFLICT, "too_many_children", message.into()),
        UndeletionError::Refused { answer, .. } => refused(answer, message),
        UndeletionError::Carry(failure) => not_carried(failure),
        UndeletionError::Store(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, NOT_DONE, "the store cannot answer now; try again".into())
        }
    }
}

fn refused(answer: &RefusedWrite, message: String) -> (StatusCode, &'static str, Cow<'static, str>) {
    let status = match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_GATEWAY,
    };
    (status, "refused_by_registry", message.into())
}

fn not_carried(failure: &CarryFailure) -> (StatusCode, &'static str, Cow<'static, str>) {
    let (status, message) = failure.told();
    (status, NOT_DONE, message.into())
}
