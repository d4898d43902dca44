//! What can go wrong between the door and the registry.

use std::time::Duration;

use http::StatusCode;

/// Why a question to the registry has no answer. None of these ever means "it is not there".
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or it broke.
    #[error("the registry cannot be reached to {asked}: {}", chain(.source))]
    Unreachable {
        /// What was asked.
        asked: String,
        /// The cause.
        source: reqwest::Error,
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
    /// No connection came about: the registry has heard nothing.
    #[error("the registry cannot be reached: {}", chain(.0))]
    NotSent(#[source] reqwest::Error),
    /// The answer did not begin in time: the registry may or may not do it.
    #[error("the registry did not answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The connection broke before the answer: the registry may or may not have done it.
    #[error("the connection to the registry broke before its answer: {}", chain(.0))]
    Lost(#[source] reqwest::Error),
}

/// An error with its causes in one line: reqwest's own words stop short of what the operating system said. Its URL is
/// left out, since a query may carry what should not be logged.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::from(if error.is_connect() { "connecting failed" } else { "the request failed" });
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
