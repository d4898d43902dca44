//! The API of the running door, as commands reach it through its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::oci::{RepositoryName, Tag};
use crate::store::{Missing, Page};
use crate::sync::{CompareError, RecordedNames, SweepStatus};

/// How long the door may take to answer.
const DOOR_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the door could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The client cannot be made.
    #[error("the client to the door cannot be set up: {0}; are the system's CA certificates installed?")]
    Client(#[source] reqwest::Error),
    /// The door did not answer, or not as a door does.
    #[error("the door at the socket {} did not {attempted}: {source}", socket.display())]
    NoAnswer {
        /// Its socket.
        socket: PathBuf,
        /// What was asked of it.
        attempted: &'static str,
        /// The cause.
        source: reqwest::Error,
    },
    /// The door refused.
    #[error(transparent)]
    Refused(#[from] DoorRefusal),
}

/// What a door answered to a request that it refused.
#[derive(Debug, thiserror::Error)]
#[error("the door at the socket {} did not {attempted}: {message} ({status})", socket.display())]
pub struct DoorRefusal {
    /// Its socket.
    pub socket: PathBuf,
    /// What was asked of it.
    pub attempted: &'static str,
    /// The status of its answer.
    pub status: StatusCode,
    /// Why, in words for the caller.
    pub message: String,
}

/// The API of a door, through its socket.
pub(super) struct Client {
    socket: PathBuf,
    pub(super) http: reqwest::Client,
}

/// Whether a door takes traffic, in its own words.
pub(super) struct Readiness {
    pub(super) is_ready: bool,
    pub(super) words: String,
}

#[derive(Deserialize)]
struct ErrorPart {
    error: ErrorWords,
}

#[derive(Deserialize)]
struct ErrorWords {
    message: String,
}

#[derive(Deserialize)]
struct StatusPart {
    sweep: SweepStatus,
    store: StorePart,
}

#[derive(Deserialize)]
struct StorePart {
    tags: u64,
    #[serde(default)]
    missing: Missing,
}

#[derive(Deserialize)]
struct TagsPart {
    items: Vec<TagPart>,
    next: Option<Tag>,
}

#[derive(Deserialize)]
struct TagPart {
    tag: Tag,
}

impl Client {
    pub(super) fn new(socket: &Path) -> Result<Self, DoorError> {
        // Only the first call of a process sets it; all set the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().unix_socket(socket).timeout(DOOR_TIMEOUT).build();
        Ok(Self { socket: socket.to_owned(), http: http.map_err(DoorError::Client)? })
    }

    /// What the door's sweeps are at.
    pub(super) async fn sweeps(&self) -> Result<SweepStatus, DoorError> {
        Ok(self.status().await?.sweep)
    }

    /// How much the door holds that the registry denies.
    pub(super) async fn missing(&self) -> Result<Missing, DoorError> {
        Ok(self.status().await?.store.missing)
    }

    async fn status(&self) -> Result<StatusPart, DoorError> {
        self.ask("tell how its sweeps are", self.http.get("http://door/api/v1/status")).await
    }

    /// Sends a request, and reads what is answered.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        attempted: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, DoorError> {
        let response = self.open(attempted, request).await?;
        response.json().await.map_err(|error| self.failure(attempted, error))
    }

    /// The next piece of an answer that was opened; nothing at its end.
    pub(super) async fn next_piece(
        &self,
        attempted: &'static str,
        response: &mut reqwest::Response,
    ) -> Result<Option<Bytes>, DoorError> {
        response.chunk().await.map_err(|error| self.failure(attempted, error))
    }

    /// Sends a request, and answers as soon as the door does.
    pub(super) async fn open(
        &self,
        attempted: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, DoorError> {
        let response = request.send().await.map_err(|error| self.failure(attempted, error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        // The door says why, in words for its caller.
        let said = response.json::<ErrorPart>().await.map(|said| said.error.message);
        let message = said.unwrap_or_else(|_| format!("it answered {status}"));
        Err(DoorRefusal { socket: self.socket.clone(), attempted, status, message }.into())
    }

    /// Whether it takes traffic.
    pub(super) async fn readiness(&self) -> Result<Readiness, DoorError> {
        let attempted = "say whether it is ready";
        let request = self.http.get("http://door/readyz");
        let response = request.send().await.map_err(|error| self.failure(attempted, error))?;
        let is_ready = response.status().is_success();
        let words = response.text().await.map_err(|error| self.failure(attempted, error))?;
        Ok(Readiness { is_ready, words: words.trim_end().to_owned() })
    }

    fn failure(&self, attempted: &'static str, error: reqwest::Error) -> DoorError {
        DoorError::NoAnswer { socket: self.socket.clone(), attempted, source: error.without_url() }
    }
}

#[async_trait]
impl RecordedNames for Client {
    async fn tag_count(&self) -> Result<u64, CompareError> {
        let status = self.status().await.map_err(|error| CompareError::Door(error.into()))?;
        Ok(status.store.tags)
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<Tag>,
    ) -> Result<Page<Tag, Tag>, CompareError> {
        // Neither has a letter in it that a query could not have.
        let after = after.map_or_else(String::new, |after| format!("&after={after}"));
        let url = format!("http://door/api/v1/tags?n=1000&repository={repository}{after}");
        let answered = async {
            let response = self.http.get(url).send().await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(TagsPart { items: Vec::new(), next: None });
            }
            response.error_for_status()?.json().await
        };
        let TagsPart { items, next } = answered
            .await
            .map_err(|error| CompareError::Door(self.failure("tell its tags", error).into()))?;
        Ok(Page { items: items.into_iter().map(|item| item.tag).collect(), next })
    }
}
