//! What can go wrong between the door and the registry.

use std::time::Duration;

use http::StatusCode;

use super::bearer_tokens::TokenError;
use super::timeouts::TimedOut;
use super::transport::{BodyError, TransportError};
use crate::oci::{Digest, Unrecognised};

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
    #[error("the registry's answer to {asked} makes no sense: {source}")]
    Malformed {
        /// What was asked.
        asked: String,
        /// What is wrong with it.
        source: MalformedAnswer,
    },
    /// The door has no credentials. Nothing was sent to the registry.
    #[error("the registry cannot be asked to {asked}: {source}")]
    NotSigned {
        /// What was to be asked.
        asked: String,
        /// The cause.
        source: TokenError,
    },
    /// There is no backend. Nothing was sent to the registry.
    #[error("the registry cannot be asked to {asked}: no backend is configured")]
    NoBackend {
        /// What was to be asked.
        asked: String,
    },
}

/// What is wrong with an answer that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum MalformedAnswer {
    /// A 404 that does not speak for the registry.
    #[error("a 404 without the specification's error body, perhaps not from the registry")]
    ForeignNotFound,
    /// It names another digest than the one that was asked for.
    #[error("it names the digest {0} instead")]
    OtherDigest(Digest),
    /// Its body is another one than its header, or the question, says.
    #[error("the bytes do not have the digest {0}")]
    OtherBytes(Digest),
    /// Its body is no manifest.
    #[error(transparent)]
    Manifest(#[from] Unrecognised),
    /// It names a manifest, and denies to have it when it is asked for that.
    #[error("it names a manifest that it denies to have")]
    DeniedManifest,
    /// Its body is no listing.
    #[error("it is no listing: {0}")]
    Listing(#[source] serde_json::Error),
    /// The `Link` to the next page is none.
    #[error("its Link leads nowhere: {0}")]
    Link(#[from] url::ParseError),
    /// The `Link` to the next page leads to another listing.
    #[error("its Link leads to another listing")]
    OtherListing,
    /// The `Link` to the next page leads back to this one.
    #[error("its Link leads back to the same page")]
    SamePage,
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
    TimedOut(TimedOut),
    /// The connection broke before the answer: the registry may or may not have done it.
    #[error("the connection to the registry broke before its answer: {0}")]
    Lost(#[source] TransportError),
}

impl From<TransportError> for CarryError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Connect(_) => Self::NotSent(error),
            TransportError::TimedOut(limit) => Self::TimedOut(TimedOut::Silent(limit)),
            TransportError::GivenUp(timed_out) => Self::TimedOut(timed_out),
            TransportError::Lost(_) => Self::Lost(error),
        }
    }
}
