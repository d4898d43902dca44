//! What a registry lets the door do, found out without changing anything. Asked by `portreeve check`.

use std::time::{Duration, SystemTime};

use http::header::DATE;
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{RegistryClient, RegistryError};
use crate::auth::{Access, Action, Actions};
use crate::oci::{Digest, RepositoryName};

/// How long the answers may be: nobody reads them.
const MAXIMUM_BYTES: usize = 64 * 1024;
/// Where nothing is deleted.
const NOWHERE: &str = "portreeve-check/nothing-is-here";

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
    /// Asks what the registry is.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn inspect(&self) -> Result<Inspection, RegistryError> {
        let asked = Instant::now();
        let answer = self.ask("say what it is", Method::GET, "v2/", None, None, MAXIMUM_BYTES).await?;
        let took = asked.elapsed();
        let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
        Ok(Inspection {
            status: answer.status,
            api: text("docker-distribution-api-version").map(str::to_owned),
            clock: date.map(|date| reading(date, self.now().into(), took)),
        })
    }

    /// Asks it to delete a manifest that cannot be there, from a repository that is not.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn try_deletion(&self) -> Result<Deletion, RegistryError> {
        let digest = Digest::sha256(NOWHERE.as_bytes());
        let path = format!("v2/{NOWHERE}/manifests/{digest}");
        let access = RepositoryName::parse(NOWHERE).ok();
        let access = access.map(|name| Access::to(name, Actions::of(&[Action::Delete])));
        let answer = self.ask(
            "delete a manifest that is not there",
            Method::DELETE,
            &path,
            None,
            access,
            MAXIMUM_BYTES,
        );
        Ok(match answer.await?.status {
            StatusCode::NOT_FOUND | StatusCode::ACCEPTED => Deletion::Allowed,
            status => Deletion::Refused(status),
        })
    }
}

/// What a `Date` says of the clock, if it was written in the middle of the time that the answer took.
fn reading(date: SystemTime, now: SystemTime, took: Duration) -> ClockReading {
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
        let same = reading(at(10_000), at(10_600), took);
        assert_eq!(same, ClockReading { ahead: 0, bound: Duration::from_millis(600) });
        assert_eq!(reading(at(70_000), at(10_600), took).ahead, 60_000);
        assert_eq!(reading(at(5_000), at(10_600), took).ahead, -5_000);
    }
}
