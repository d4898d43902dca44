//! Errors of the API, and the one place where they become answers: `{"error": {"code", "message"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::body::BodyRefused;
use crate::auth::AccountError;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::search::SearchError;
use crate::store::{Sequence, StoreError};
use crate::telemetry::LogThrottle;

/// What is wrong with a value that a client sent.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request to the API has no other answer. What it shows is for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// A parameter that this resource does not take.
    #[error("`{name}` is not a parameter here; {}", Known(.known))]
    UnknownParameter { name: String, known: &'static [&'static str] },
    /// A parameter that has to be there.
    #[error("the parameter `{name}` is missing")]
    MissingParameter { name: &'static str },
    /// A parameter with a wrong value.
    #[error("the parameter `{name}` is wrong: {source}")]
    InvalidParameter { name: &'static str, source: Cause },
    /// A request body that is not what this path takes.
    #[error("the body is wrong: {source}{remedy}")]
    InvalidBody { source: Cause, remedy: &'static str },
    /// A request body that is too long for this path, or that did not come.
    #[error(transparent)]
    Body(#[from] BodyRefused),
    /// The store does not know the repository.
    #[error("the repository `{0}` is not known")]
    RepositoryUnknown(RepositoryName),
    /// The store does not know the manifest.
    #[error("the repository `{repository}` has no manifest {digest}")]
    ManifestUnknown { repository: RepositoryName, digest: Digest },
    /// The store does not know the tag.
    #[error("the repository `{repository}` has no tag `{tag}`")]
    TagUnknown { repository: RepositoryName, tag: Tag },
    /// The history that was read is not this one.
    #[error(
        "what was read up to {position} is no part of this history: an older store was restored, or it was another; \
         read from the beginning"
    )]
    HistoryReplaced { position: Sequence },
    /// Notifications are not configured.
    #[error("notifications are not taken; set notifications.secret for them")]
    NotificationsOff,
    /// Without the secret.
    #[error("`Authorization: Bearer` with the secret of notifications.secret is missing or wrong")]
    Unauthorized,
    /// The queue of hints is full.
    #[error("too many hints wait to be followed; send them again later")]
    TooManyHints,
    /// A command to the accounts that is not done.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The record is too large to be searched, or the door is stopping.
    #[error(transparent)]
    Search(SearchError),
    /// No such path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The path is there, but not with this method.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// The store did not answer. The cause is for the log.
    #[error("the store cannot answer now; the door's log says why")]
    Store(#[from] StoreError),
}

/// The parameters that a resource takes, as the end of a sentence.
struct Known<'a>(&'a [&'a str]);

impl std::fmt::Display for Known<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [] => formatter.write_str("there are none"),
            known => write!(formatter, "known are `{}`", known.join("`, `")),
        }
    }
}

impl ApiError {
    const fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownParameter { .. } => (StatusCode::BAD_REQUEST, "unknown_parameter"),
            Self::MissingParameter { .. } => (StatusCode::BAD_REQUEST, "missing_parameter"),
            Self::InvalidParameter { .. } => (StatusCode::BAD_REQUEST, "invalid_parameter"),
            Self::InvalidBody { .. } => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::Body(BodyRefused::TooLong { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_long"),
            Self::Body(BodyRefused::BrokenOff) => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::RepositoryUnknown(_) => (StatusCode::NOT_FOUND, "repository_unknown"),
            Self::ManifestUnknown { .. } => (StatusCode::NOT_FOUND, "manifest_unknown"),
            Self::TagUnknown { .. } => (StatusCode::NOT_FOUND, "tag_unknown"),
            Self::HistoryReplaced { .. } => (StatusCode::CONFLICT, "history_replaced"),
            Self::NotificationsOff => (StatusCode::NOT_FOUND, "notifications_off"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::TooManyHints => (StatusCode::SERVICE_UNAVAILABLE, "too_many_hints"),
            Self::Account(AccountError::Exists(_) | AccountError::Robot(_)) => {
                (StatusCode::CONFLICT, "account_exists")
            }
            Self::Account(AccountError::Overtaken) => (StatusCode::CONFLICT, "account_changed"),
            Self::Account(AccountError::NoUser(_) | AccountError::NoToken(_)) => {
                (StatusCode::NOT_FOUND, "account_unknown")
            }
            Self::Account(AccountError::Invalid(_) | AccountError::Pattern { .. }) => {
                (StatusCode::BAD_REQUEST, "invalid_account")
            }
            Self::Account(AccountError::Store(_) | AccountError::Damaged(_) | AccountError::Random) => {
                (StatusCode::SERVICE_UNAVAILABLE, "accounts_unavailable")
            }
            Self::Search(_) => (StatusCode::SERVICE_UNAVAILABLE, "search_unavailable"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Store(StoreError::Corrupt { .. }) => (StatusCode::INTERNAL_SERVER_ERROR, "store_damaged"),
            Self::Store(StoreError::Conflict) => (StatusCode::CONFLICT, "changed_meanwhile"),
            Self::Store(StoreError::Unavailable { .. } | StoreError::Fenced | StoreError::Closed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
            }
        }
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Store(error) => Self::Store(error),
            error @ (SearchError::TooLarge { .. } | SearchError::Interrupted) => Self::Search(error),
        }
    }
}

#[derive(Serialize)]
struct Body {
    error: Entry,
}

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    message: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // A client that asks again and again must not fill the log.
        static THROTTLE: LogThrottle = LogThrottle::new();
        if let Self::Store(error) = &self
            && let Some(times) = THROTTLE.count()
        {
            tracing::error!(%error, times, "the API could not read the store");
        }
        let (status, code) = self.status_and_code();
        let mut response =
            (status, Json(Body { error: Entry { code, message: self.to_string() } })).into_response();
        let header = match self {
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::TooManyHints => Some((header::RETRY_AFTER, HeaderValue::from_static("30"))),
            _ => None,
        };
        response.headers_mut().extend(header);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fenced_store_is_unavailable_for_now_and_an_expectation_that_failed_is_a_conflict() {
        for (error, status) in [
            (StoreError::Fenced, StatusCode::SERVICE_UNAVAILABLE),
            (StoreError::Conflict, StatusCode::CONFLICT),
        ] {
            assert_eq!(ApiError::from(error).into_response().status(), status);
        }
    }
}
