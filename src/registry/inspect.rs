//! What a registry lets the door do, found out without changing anything. Asked by `portreeve check`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, DATE};
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::question::Question;
use super::transport::Received;
use super::{RegistryClient, RegistryError};
use crate::oci::{Access, Action, Actions, Digest, MediaType, RepositoryName, first_error_code};

/// How long the answers may be, of which little is read.
const MAXIMUM_BYTES: usize = 64 * 1024;
/// A repository that is not there.
const ABSENT_REPOSITORY: &str = "portreeve-check/nothing-is-here";

/// A manifest that no registry takes, since it names no configuration.
const NO_MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;

/// What a registry says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The status of `/v2/`: 200, or 401 where it wants credentials.
    pub status: StatusCode,
    /// The API that it names in `Docker-Distribution-Api-Version`.
    pub api: Option<String>,
    /// Its clock, if it sends a `Date`.
    pub clock: Option<ClockReading>,
}

/// One reading of the registry's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// How much it is ahead of this machine's, in milliseconds; negative if it is behind.
    pub ahead: i64,
    /// How far that may be wrong: half of the time that the answer took, and half of the second that `Date` is rounded
    /// to.
    pub bound: Duration,
}

/// Whether the registry deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It does.
    Allowed,
    /// It refuses, with this status.
    Refused(StatusCode),
}

impl RegistryClient {
    /// Whether the registry looks like a pull-through cache: asked to delete and to put what cannot be there, it says of both
    /// that it does not do such things at all. One that merely does not delete says of the put what is wrong with it, and a
    /// read-only one tells what it does do (`Allow`), which a cache of distribution does not. Changes nothing.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn looks_like_a_cache(&self) -> Result<bool, RegistryError> {
        let digest = Digest::sha256(ABSENT_REPOSITORY.as_bytes());
        let deletion = self.try_write(Method::DELETE, &digest.to_string(), Bytes::new()).await?;
        if !is_unsupported(&deletion) {
            return Ok(false);
        }
        let put = self.try_write(Method::PUT, "nothing", Bytes::from_static(NO_MANIFEST)).await?;
        Ok(is_unsupported(&put))
    }

    /// Asks for a write to a repository that is not there.
    async fn try_write(
        &self,
        method: Method,
        reference: &str,
        body: Bytes,
    ) -> Result<Received, RegistryError> {
        let action = if method == Method::DELETE { Action::Delete } else { Action::Push };
        let access = RepositoryName::parse(ABSENT_REPOSITORY).ok();
        let access = access.map(|name| Access::to(name, Actions::of(&[Action::Pull, action])));
        let asked = format!("take back or refuse a {method} of what is not there");
        let path = format!("v2/{ABSENT_REPOSITORY}/manifests/{reference}");
        let content = (!body.is_empty()).then_some((MediaType::OCI_MANIFEST, body));
        let limit = MAXIMUM_BYTES;
        self.ask(Question { method, content, access, limit, ..Question::get(&asked, &path) }).await
    }

    /// Asks what the registry is.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn inspect(&self) -> Result<Inspection, RegistryError> {
        let asked = Instant::now();
        let answer =
            self.ask(Question { limit: MAXIMUM_BYTES, ..Question::get("say what it is", "v2/") }).await?;
        let took = asked.elapsed();
        let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
        Ok(Inspection {
            status: answer.status,
            api: text("docker-distribution-api-version").map(str::to_owned),
            clock: date.map(|date| clock_reading(date, self.now().into(), took)),
        })
    }

    /// Asks it to delete a manifest that cannot be there, from a repository that is not.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn try_deletion(&self) -> Result<Deletion, RegistryError> {
        let digest = Digest::sha256(ABSENT_REPOSITORY.as_bytes());
        let path = format!("v2/{ABSENT_REPOSITORY}/manifests/{digest}");
        let access = RepositoryName::parse(ABSENT_REPOSITORY).ok();
        let access = access.map(|name| Access::to(name, Actions::of(&[Action::Delete])));
        let asked = "delete a manifest that is not there";
        let question =
            Question { method: Method::DELETE, access, limit: MAXIMUM_BYTES, ..Question::get(asked, &path) };
        Ok(match self.ask(question).await?.status {
            StatusCode::NOT_FOUND | StatusCode::ACCEPTED => Deletion::Allowed,
            status => Deletion::Refused(status),
        })
    }
}

/// Whether a registry says that it does not do such things at all (the specification's `UNSUPPORTED`).
fn is_unsupported(answer: &Received) -> bool {
    let body = answer.body.as_deref().unwrap_or_default();
    answer.status == StatusCode::METHOD_NOT_ALLOWED
        && !answer.headers.contains_key(ALLOW)
        && first_error_code(body).is_some_and(|code| code == "UNSUPPORTED")
}

/// What a `Date` says of the clock, if it was written in the middle of the time that the answer took.
fn clock_reading(date: SystemTime, now: SystemTime, took: Duration) -> ClockReading {
    const HALF_A_SECOND: Duration = Duration::from_millis(500);
    let (theirs, ours) = (date + HALF_A_SECOND, now - took / 2);
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let ahead = match theirs.duration_since(ours) {
        Ok(ahead) => milliseconds(ahead),
        Err(behind) => -milliseconds(behind.duration()),
    };
    ClockReading { ahead, bound: took / 2 + HALF_A_SECOND }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_says_the_offset_within_the_answers_time_and_its_own_rounding() {
        let at = |milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        let took = Duration::from_millis(200);
        let same = clock_reading(at(10_000), at(10_600), took);
        assert_eq!(same, ClockReading { ahead: 0, bound: Duration::from_millis(600) });
        assert_eq!(clock_reading(at(70_000), at(10_600), took).ahead, 60_000);
        assert_eq!(clock_reading(at(5_000), at(10_600), took).ahead, -5_000);
    }
}
