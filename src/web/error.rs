//! Errors of the API, and the one place where they become answers: `{"error": {"code", "message"}}`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::BodyRefused;
use super::writes::{deletion_told, undeletion_told};
use crate::auth::{
    AccountError, HashingError, KeyRingError, LoginError, SourceError, UnfitPassword, UserName,
};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::search::SearchError;
use crate::store::{Sequence, StoreError};
use crate::sync::{DeletionError, UndeletionError};
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
    /// A header with a wrong value.
    #[error("the header `{name}` is wrong: {wrong}")]
    InvalidHeader { name: &'static str, wrong: &'static str },
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
    /// What only somebody who is known may ask for.
    #[error("{what} needs a login")]
    LoginRequired { what: &'static str },
    /// There are as many streams as there may be.
    #[error(
        "there are as many streams of events as limits.event_streams allows; try again later, or read the list"
    )]
    TooManyStreams,
    /// So many answers read manifests that the turn of this one does not come.
    #[error("too many answers about manifests are being made; try again soon")]
    TooManyManifests,
    /// The door ends.
    #[error("the door is stopping; ask again")]
    Stopping,
    /// Who it is cannot be found out.
    #[error("logins cannot be checked now; try again soon")]
    Login(#[source] LoginError),
    /// Too many failed logins, or too many at once.
    #[error("too many failed logins, or too many at once; try again in {} s", .0.as_secs().max(1))]
    TooManyLogins(Duration),
    /// The present password, which was asked for, is another one.
    #[error("`current` is not your password")]
    WrongPassword,
    /// What was shown is not enough to change accounts.
    #[error("to change accounts, send your name and password with the request: a token is not enough")]
    PasswordRequired,
    /// What is for others.
    #[error("you may not do this: {what}")]
    Forbidden { what: &'static str },
    /// Every caller may do everything.
    #[error(
        "this door is open (auth.mode = \"off\"): it asks nobody who they are, and has no accounts to manage"
    )]
    AccountsOff,
    /// A user whom the store does not keep.
    #[error("the user `{0}` stands in a file of users (auth.htpasswd), and is changed there alone")]
    UserElsewhere(UserName),
    /// A user whose groups the store does not keep.
    #[error(
        "the user `{0}` stands in a file of users (auth.htpasswd); their groups are those of auth.groups in the configuration"
    )]
    GroupsElsewhere(UserName),
    /// An administrator who would shut out themselves.
    #[error("you would shut out yourself; another administrator can, or `portreeve user disable`")]
    OwnDisabling,
    /// Nothing is locked that could be unlocked.
    #[error("no failed logins are counted there; the list of locks shows where they are")]
    NotLocked,
    /// A password that is not taken.
    #[error("{0}")]
    UnfitPassword(#[from] UnfitPassword),
    /// A new password cannot be hashed now.
    #[error("passwords cannot be taken now; try again soon")]
    Hashing(#[from] HashingError),
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
    Account(AccountError),
    /// The record is too large to be searched, or the door is stopping.
    #[error(transparent)]
    Search(SearchError),
    /// Something that is not deleted.
    #[error("{}", deletion_told(.0).2)]
    Deletion(#[from] DeletionError),
    /// Something that is not put back.
    #[error("{}", undeletion_told(.0).2)]
    Undeletion(#[from] UndeletionError),
    /// A page of another site would change something.
    #[error("a page of another site may not change anything here")]
    CrossSite,
    /// A record that this process alone cannot give away.
    #[error("the record is in a database, and is read there")]
    RecordElsewhere,
    /// The keys beside the record.
    #[error("{0}")]
    Keys(#[source] KeyRingError),
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
    /// What was found, or nothing where it is not recorded: it may have gone while an answer was made. Anything else that went wrong
    /// stays an error.
    pub(super) fn nothing_if_unknown<T>(result: Result<T, Self>) -> Result<Option<T>, Self> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Self::TagUnknown { .. } | Self::ManifestUnknown { .. } | Self::RepositoryUnknown(_)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownParameter { .. } => (StatusCode::BAD_REQUEST, "unknown_parameter"),
            Self::MissingParameter { .. } => (StatusCode::BAD_REQUEST, "missing_parameter"),
            Self::InvalidParameter { .. } => (StatusCode::BAD_REQUEST, "invalid_parameter"),
            Self::InvalidHeader { .. } => (StatusCode::BAD_REQUEST, "invalid_header"),
            Self::InvalidBody { .. } => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::Body(BodyRefused::TooLong { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_long"),
            Self::Body(BodyRefused::BrokenOff) => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::RepositoryUnknown(_) => (StatusCode::NOT_FOUND, "repository_unknown"),
            Self::ManifestUnknown { .. } => (StatusCode::NOT_FOUND, "manifest_unknown"),
            Self::TagUnknown { .. } => (StatusCode::NOT_FOUND, "tag_unknown"),
            Self::HistoryReplaced { .. } => (StatusCode::CONFLICT, "history_replaced"),
            Self::LoginRequired { .. } => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::TooManyStreams => (StatusCode::SERVICE_UNAVAILABLE, "too_many_streams"),
            Self::TooManyManifests => (StatusCode::SERVICE_UNAVAILABLE, "too_many_manifests"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Self::Login(_) => (StatusCode::SERVICE_UNAVAILABLE, "logins_unavailable"),
            Self::TooManyLogins(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            Self::WrongPassword => (StatusCode::FORBIDDEN, "wrong_password"),
            Self::PasswordRequired => (StatusCode::FORBIDDEN, "password_required"),
            Self::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            Self::AccountsOff => (StatusCode::CONFLICT, "accounts_off"),
            Self::UserElsewhere(_) | Self::GroupsElsewhere(_) => (StatusCode::CONFLICT, "user_elsewhere"),
            Self::OwnDisabling => (StatusCode::CONFLICT, "own_account"),
            Self::NotLocked => (StatusCode::NOT_FOUND, "not_locked"),
            Self::UnfitPassword(_) => (StatusCode::BAD_REQUEST, "unfit_password"),
            Self::Hashing(_) => (StatusCode::SERVICE_UNAVAILABLE, "logins_unavailable"),
            Self::NotificationsOff => (StatusCode::NOT_FOUND, "notifications_off"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::TooManyHints => (StatusCode::SERVICE_UNAVAILABLE, "too_many_hints"),
            Self::Account(AccountError::Exists(_) | AccountError::Robot(_)) => {
                (StatusCode::CONFLICT, "account_exists")
            }
            Self::Account(AccountError::TooManyTokens { .. }) => (StatusCode::CONFLICT, "too_many_tokens"),
            Self::Account(AccountError::Overtaken) => (StatusCode::CONFLICT, "account_changed"),
            Self::Account(AccountError::NoUser(_) | AccountError::NoToken(_)) => {
                (StatusCode::NOT_FOUND, "account_unknown")
            }
            Self::Account(AccountError::Invalid(_) | AccountError::Pattern { .. }) => {
                (StatusCode::BAD_REQUEST, "invalid_account")
            }
            Self::Account(
                AccountError::Store(_)
                | AccountError::Damaged(_)
                | AccountError::Random
                | AccountError::Failed,
            ) => (StatusCode::SERVICE_UNAVAILABLE, "accounts_unavailable"),
            Self::Search(_) => (StatusCode::SERVICE_UNAVAILABLE, "search_unavailable"),
            Self::Deletion(error) => {
                let (status, code, _) = deletion_told(error);
                (status, code)
            }
            Self::Undeletion(error) => {
                let (status, code, _) = undeletion_told(error);
                (status, code)
            }
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross_site"),
            Self::RecordElsewhere => (StatusCode::CONFLICT, "record_elsewhere"),
            Self::Keys(_) => (StatusCode::INTERNAL_SERVER_ERROR, "keys_unreadable"),
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

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::TooMany(wait) => Self::TooManyLogins(wait),
            error @ (LoginError::Wrong(_) | LoginError::Unavailable(_)) => Self::Login(error),
        }
    }
}

impl From<AccountError> for ApiError {
    /// What the store says itself is for the log.
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => Self::Store(error),
            error => Self::Account(error),
        }
    }
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> Self {
        Self::Login(error.into())
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Store(error) => Self::Store(error),
            error @ (SearchError::TooLarge { .. }
            | SearchError::TooManyNamespaces { .. }
            | SearchError::Interrupted) => Self::Search(error),
        }
    }
}

/// The body of every error of the API.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorEntry,
}

impl ApiError {
    /// Writes down what is not told. A client that asks again and again must not fill the log.
    fn note_cause(&self) {
        static READING: LogThrottle = LogThrottle::new();
        static WRITING: LogThrottle = LogThrottle::new();
        let cause: &dyn std::fmt::Debug = match self {
            Self::Store(error) => {
                if let Some(times) = READING.count() {
                    tracing::error!(%error, times, "the API could not ask the store");
                }
                return;
            }
            // Told with its key, and with no more to tell.
            Self::Account(
                error @ (AccountError::Damaged(_) | AccountError::Random | AccountError::Failed),
            ) => error,
            Self::Login(LoginError::Unavailable(SourceError::Hashing(HashingError::Busy))) => return,
            Self::Login(error) => error,
            Self::Deletion(error) => error,
            Self::Undeletion(error) => error,
            _ => return,
        };
        let (status, _) = self.status_and_code();
        if status.is_server_error()
            && let Some(times) = WRITING.count()
        {
            tracing::warn!(?cause, %status, times, "what the API was asked to do was not done");
        }
    }
}

impl ErrorEntry {
    /// What an error says, of several that are told together.
    pub(super) fn of(error: &ApiError) -> Self {
        error.note_cause();
        let (_, code) = error.status_and_code();
        Self { code, message: error.to_string() }
    }
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorEntry {
    /// For programs.
    #[schema(value_type = String)]
    code: &'static str,
    /// For people.
    pub(super) message: String,
}

impl ErrorBody {
    /// That of a refusal which does not come from here.
    pub(super) fn of_refusal(status: StatusCode, message: &str) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::REQUEST_TIMEOUT => "request_timeout",
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_long",
            StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            status if status.is_client_error() => "bad_request",
            _ => "internal",
        };
        Self { error: ErrorEntry { code, message: message.to_owned() } }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.note_cause();
        let (status, code) = self.status_and_code();
        let error = ErrorEntry { code, message: self.to_string() };
        let mut response = (status, Json(ErrorBody { error })).into_response();
        let header = match self {
            Self::Unauthorized | Self::LoginRequired { .. } => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            // By RFC 9110, 15.5.6: what the registry allows here is nothing.
            Self::Deletion(_) if status == StatusCode::METHOD_NOT_ALLOWED => {
                Some((header::ALLOW, HeaderValue::from_static("GET, HEAD")))
            }
            Self::TooManyLogins(wait) => {
                Some((header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1))))
            }
            Self::TooManyHints => Some((header::RETRY_AFTER, HeaderValue::from_static("30"))),
            _ => None,
        };
        response.headers_mut().extend(header);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_the_store_says_of_accounts_is_for_the_log() {
        let cause = StoreError::Unavailable {
            attempted: "read",
            cause: Arc::new(std::io::Error::other("sda1 burns")),
        };
        let error = ApiError::from(AccountError::from(cause));
        assert!(matches!(error, ApiError::Store(_)) && !error.to_string().contains("sda1"), "{error}");
        assert_eq!(error.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
    }

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
