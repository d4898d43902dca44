//! What can go wrong between the door and the registry.

use std::time::Duration;

use http::StatusCode;

use super::bearer_tokens::TokenError;
use super::patience::Exhausted;
use super::transport::{BodyError, TransportError};

/// Why a question to the registry has no answer. None of these ever means "it is not there".
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or it broke.
    #[error("the registry cannot be reached to {asked}: {source}")]
    Unreachable {
        /// What was asked.
        asked: String,
        /// The cause.
        source: TransportError,
    },
    /// The body of its answer is not there as a whole.
    #[error("the registry's answer to {asked} cannot be read: {source}")]
    Broken {
        /// What was asked.
        asked: String,
        /// The cause.
        source: BodyError,
    },
    /// It did not answer in time.
    #[error("the registry did not answer within {} to {asked}", humantime::format_duration(*.limit))]
    TimedOut {
        /// What was asked.
        asked: String,
        /// The limit, from `registry.timeout`.
        limit: Duration,
    },
    /// It answered, but neither with what was asked for nor with the specification's "not there".
    #[error("the registry answered {status} to {asked}")]
    Refused {
        /// What was asked.
        asked: String,
        /// Its status.
        status: StatusCode,
        /// How long it wants not to be asked again.
        retry_after: Option<Duration>,
    },
    /// Its answer makes no sense.
    #[error("the registry's answer to {asked} makes no sense: {reason}")]
    Malformed {
        /// What was asked.
        asked: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a write has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The door has no credentials. Nothing was sent to the registry.
    #[error(transparent)]
    NotSigned(TokenError),
    /// No connection came about. Nothing was sent to the registry.
    #[error("the registry cannot be reached: {0}")]
    NotSent(#[source] TransportError),
    /// The answer did not begin in time: the registry may or may not do it.
    #[error("the answer did not come: {0}")]
    TimedOut(Exhausted),
    /// The connection broke before the answer: the registry may or may not have done it.
    #[error("the connection to the registry broke before its answer: {0}")]
    Lost(#[source] TransportError),
}

impl From<TransportError> for CarryError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Connect(_) => Self::NotSent(error),
            TransportError::TimedOut(limit) => Self::TimedOut(Exhausted::Silent(limit)),
            TransportError::GivenUp(exhausted) => Self::TimedOut(exhausted),
            TransportError::Lost(_) => Self::Lost(error),
        }
    }
}
