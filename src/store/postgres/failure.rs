//! What can go wrong below the store's interface, before it is known what was attempted.

use std::error::Error;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_postgres::error::{DbError, SqlState};

use super::tls_remedy::remedy;
use crate::store::StoreError;

/// Why something could not be read or written.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The database failed, or cannot be reached.
    Medium(Arc<dyn Error + Send + Sync>),
    /// The transaction came to nothing because of another one: the same is done again.
    Again(Arc<dyn Error + Send + Sync>),
    /// A row cannot be read back.
    Corrupt { what: String, cause: Arc<dyn Error + Send + Sync> },
    /// This one request is refused, for a reason of its own.
    Refused(StoreError),
}

/// What the database did not do in time.
#[derive(Debug, thiserror::Error)]
#[error("the database gave no answer within {0} seconds")]
pub(super) struct NoAnswer(pub(super) u64);

/// The connection of the writer is lost.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the database is lost")]
pub(super) struct NotConnected;

/// The database has committed, and does not know whether its standby has.
#[derive(Debug, thiserror::Error)]
#[error("the database has committed, but its standby may not have: the outcome is not known")]
pub(super) struct NotReplicated;

/// A row that an index names is not there.
#[derive(Debug, thiserror::Error)]
#[error("it is missing")]
pub(super) struct NotThere;

/// The driver's own words are few; those of the database say what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {code}){remedy}")]
struct Explained {
    message: String,
    code: String,
    remedy: String,
}

/// What the operator can do about what is refused. PgBouncer has no codes of its own.
fn remedy_of_refusal(said: &DbError) -> Option<&'static str> {
    let message = said.message();
    if *said.code() == SqlState::TOO_MANY_CONNECTIONS {
        return Some("others have all its connections: raise `max_connections`, or put PgBouncer before it");
    }
    if message.contains("unsupported startup parameter") {
        return Some(
            "take `options` out of `store.url`, or name it in `ignore_startup_parameters` of PgBouncer",
        );
    }
    message
        .contains("statement pooling")
        .then_some("give PgBouncer `pool_mode = transaction` or `session` for this database")
}

/// The cause in the words of the database, where it has said something.
pub(super) fn explained(error: tokio_postgres::Error) -> Box<dyn Error + Send + Sync> {
    match error.as_db_error() {
        Some(said) => {
            let remedy = remedy_of_refusal(said).map(|remedy| format!("; {remedy}"));
            Box::new(Explained {
                message: said.message().to_owned(),
                code: said.code().code().to_owned(),
                remedy: remedy.unwrap_or_default(),
            })
        }
        None => Box::new(Chained(error)),
    }
}

/// An error with what caused it, on one line.
#[derive(Debug)]
struct Chained(tokio_postgres::Error);

impl std::fmt::Display for Chained {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        if let Some(source) = self.0.source() {
            write!(formatter, ": {source}")?;
        }
        match remedy(&self.0) {
            Some(remedy) => write!(formatter, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl Error for Chained {}

impl Failure {
    /// A row that cannot be read back.
    pub(super) fn corrupt(what: impl Into<String>, cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Corrupt { what: what.into(), cause: Arc::new(cause) }
    }

    pub(super) fn medium(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Medium(Arc::new(cause))
    }

    /// The same, if it lies with the database, as one after which it may be tried once more.
    pub(super) fn once_more(self) -> Self {
        match self {
            Self::Medium(cause) => Self::Again(cause),
            other => other,
        }
    }

    /// The error that the caller sees.
    pub(super) fn into_error(self, attempted: &'static str) -> StoreError {
        match self {
            Self::Medium(cause) | Self::Again(cause) => StoreError::Unavailable { attempted, cause },
            Self::Corrupt { what, cause } => StoreError::Corrupt { what, cause },
            Self::Refused(error) => error,
        }
    }

    /// Whether the fault lies with one request rather than with the database.
    pub(super) const fn is_of_one_request(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Refused(_))
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let is_again = error.code().is_some_and(|code| {
            *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
        });
        let cause: Arc<dyn Error + Send + Sync> = Arc::from(explained(error));
        if is_again { Self::Again(cause) } else { Self::Medium(cause) }
    }
}

/// Reads a row.
pub(super) fn decode<T: DeserializeOwned>(what: impl FnOnce() -> String, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|cause| Failure::corrupt(what(), cause))
}

/// Writes a row.
pub(super) fn encode<T: Serialize>(what: &'static str, row: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(row).map_err(|cause| Failure::corrupt(what, cause))
}

/// A number as the database keeps it.
pub(super) const fn stored(number: u64) -> i64 {
    number.cast_signed()
}

/// A number that a caller has made up, of a list whose numbers are all smaller than the largest one here.
pub(super) fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from the database.
pub(super) const fn number(stored: i64) -> u64 {
    stored.cast_unsigned()
}
