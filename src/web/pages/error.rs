//! Why a page cannot show what was asked for, with what to do. `error_page.rs` makes a page of it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::error::ApiError;

/// Why a page cannot be shown. The guard makes a page of it: it knows who looks.
#[derive(Clone, Debug)]
pub(super) struct PageError {
    pub status: StatusCode,
    pub heading: &'static str,
    pub message: String,
    pub remedy: &'static str,
    pub retry_after: Option<HeaderValue>,
}

impl PageError {
    fn new(
        status: StatusCode,
        heading: &'static str,
        message: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self { status, heading, message: message.into(), remedy, retry_after: None }
    }

    /// There is no such page.
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Nothing here",
            "There is no page at this address.",
            "Search for what you were looking for, or begin at the first page.",
        )
    }

    /// Who looks is known, and may not see it.
    pub(super) fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Not for you",
            "You may not see this, or it is not there.",
            "Ask whoever runs this registry for access, or sign in as somebody else.",
        )
    }

    /// A page of another site would change something.
    pub(super) fn cross_site() -> Self {
        Self {
            heading: "Not from here",
            remedy: "Nothing was changed. Do it on a page of this door, if you meant to.",
            ..Self::from(ApiError::CrossSite)
        }
    }

    /// What has this status, with what it says.
    pub(super) fn told(status: StatusCode, message: &str) -> Self {
        let (heading, remedy) = match status {
            StatusCode::NOT_FOUND => {
                ("Not found", "It may have been deleted, or pushed elsewhere: search for it.")
            }
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                ("Not for you", "Sign in as somebody who may do this.")
            }
            StatusCode::CONFLICT => ("It has changed meanwhile", "Look at it again, and try once more."),
            StatusCode::GONE => {
                ("Gone for good", "The registry or the record has not kept enough of it: push it again.")
            }
            StatusCode::TOO_MANY_REQUESTS => ("Too many at once", "Wait a little, and try again."),
            StatusCode::SERVICE_UNAVAILABLE => ("Not now", "Try again soon; the log of the door says more."),
            status if status.is_client_error() => {
                ("This cannot be shown", "Check the address, or begin at the first page.")
            }
            _ => ("Something is broken", "The log of the door says what. Tell whoever runs it."),
        };
        Self::new(status, heading, sentence(message), remedy)
    }

    /// What was filled in is not enough.
    pub(super) fn invalid(message: &str) -> Self {
        Self::told(StatusCode::BAD_REQUEST, message)
    }

    /// An open door has no accounts.
    pub(super) fn no_accounts() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "No accounts here",
            "This door is open: it asks nobody who they are, and has no accounts.",
            "Whoever runs it can have it ask, with auth.mode = \"on\".",
        )
    }

    /// Pages of an open door change nothing.
    pub(super) fn read_only() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Read only",
            "This door asks nobody who they are, so its pages change nothing.",
            "Whoever runs it can turn on sign-in (auth.mode = \"on\"), or allow changes by everybody (pages.open_writes).",
        )
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        let message = error.to_string();
        // It is written down there, and has the status that the API gives it.
        let response = error.into_response();
        let retry_after = response.headers().get(header::RETRY_AFTER).cloned();
        Self { retry_after, ..Self::told(response.status(), &message) }
    }
}

impl From<askama::Error> for PageError {
    fn from(error: askama::Error) -> Self {
        tracing::error!(%error, "a page cannot be written");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something is broken",
            "The page cannot be written.",
            "The log of the door says what. Tell whoever runs it.",
        )
    }
}

/// The error goes along with its answer, and becomes a page where it is known who looks.
impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A message of the API as a sentence.
pub(super) fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}
