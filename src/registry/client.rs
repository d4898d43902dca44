//! Questions to the registry, and carrying a write.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::health::PROBE_LIMIT;
use super::listing::PageSize;
use super::patience::Patience;
use super::transport::{
    BodyError, Causes, HttpTransport, Received, Request, RequestPatience, Transport, TransportError,
};
use super::{Answer, Backend, Backends, CarryError, Login, OutgoingWrite, RegistryError, retry_after};
use crate::auth::{Access, Action, Actions};
use crate::clock::{Clock, ClockOffset, Sample, Timestamp};
use crate::oci::{
    Digest, MANIFEST_ACCEPT, MAXIMUM_MANIFEST_BYTES, Manifest, MediaType, Reference, RepositoryName,
};

/// The header in which a registry names the digest of what it stored or sends.
const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";
/// How long an answer that is no manifest may be.
const MAXIMUM_ANSWER_BYTES: usize = 1024 * 1024;
/// What the door calls itself when it asks for itself; a write that it carries keeps its client's name.
const AGENT: &str = concat!("portreeve/", env!("CARGO_PKG_VERSION"));
/// What is wrong with a 404 that does not speak for the registry.
pub(super) const NOT_ITS_OWN: &str =
    "a 404 without the specification's error body, perhaps not from the registry";

/// The door's own client to the registry. Cheap to share; its connections are pooled and bounded by its callers.
#[derive(Debug)]
pub struct RegistryClient {
    transport: Arc<dyn Transport>,
    backends: Arc<Backends>,
    timeout: Duration,
    commit_timeout: Duration,
    login: Arc<Login>,
    clock: Clock,
    offset: Arc<ClockOffset>,
    pub(super) catalog_pages: PageSize,
    pub(super) tag_pages: PageSize,
}

/// How the registry is asked, beside where it is.
#[derive(Debug, Clone)]
pub struct Asking {
    /// How the door shows itself.
    pub login: Arc<Login>,
    /// The door's own clock.
    pub clock: Clock,
    /// What is known of the registry's; every answer adds to it.
    pub offset: Arc<ClockOffset>,
}

impl Default for Asking {
    fn default() -> Self {
        Self { login: Arc::new(Login::None), clock: Clock::SYSTEM, offset: Arc::default() }
    }
}

/// What a registry says of a manifest without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest.
    pub digest: Digest,
}

impl RegistryClient {
    /// A client for these backends over HTTP; `timeout` bounds the wait for a connection and for an answer to begin.
    ///
    /// # Errors
    /// When the TLS configuration of the system cannot be used.
    pub fn new(backends: Arc<Backends>, timeout: Duration) -> Result<Self, reqwest::Error> {
        let transport = Arc::new(HttpTransport::new(timeout)?);
        Ok(Self::with_transport(backends, timeout, transport))
    }

    /// A client that sends its requests by this transport.
    pub fn with_transport(backends: Arc<Backends>, timeout: Duration, transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            backends,
            timeout,
            commit_timeout: timeout,
            login: Arc::new(Login::None),
            clock: Clock::SYSTEM,
            offset: Arc::default(),
            catalog_pages: PageSize::default(),
            tag_pages: PageSize::default(),
        }
    }

    /// The same, asking in this way.
    #[must_use]
    pub fn asking(self, Asking { login, clock, offset }: Asking) -> Self {
        Self { login, clock, offset, ..self }
    }

    /// The same, waiting so long for the answer to a write while the registry shows signs of life; without this it waits
    /// no longer than for another answer.
    #[must_use]
    pub fn committing_within(self, commit_timeout: Duration) -> Self {
        Self { commit_timeout, ..self }
    }

    /// The backends it speaks to.
    pub fn backends(&self) -> &Arc<Backends> {
        &self.backends
    }

    /// How long it waits for a connection, or for an answer to begin.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long it waits for the answer to a write.
    pub fn commit_timeout(&self) -> Duration {
        self.commit_timeout
    }

    /// Whether this backend answers `/v2/` at all; what it answers matters only if it is a server error.
    pub async fn probe(&self, backend: &Backend) -> bool {
        let url = format!("{}v2/", backend.url());
        let asking = self.send(question(Method::GET, url, None, None, MAXIMUM_ANSWER_BYTES));
        let answer = tokio::time::timeout(self.timeout.min(PROBE_LIMIT), asking).await;
        let answers = matches!(answer, Ok(Ok(answer)) if !answer.status.is_server_error());
        if answers {
            backend.note_answer();
        }
        answers
    }

    /// The digest that a reference has now. `Ok(None)` is the registry's own "not there" about this very reference.
    ///
    /// # Errors
    /// Whenever the registry gave no clear answer.
    pub async fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestHead>, RegistryError> {
        let (asked, answer) = self.ask_about(Method::HEAD, repository, reference).await?;
        match answer.status {
            StatusCode::OK => match digest_named(&answer.headers) {
                Some(digest) => Ok(Some(ManifestHead { digest })),
                None => {
                    let manifest = self.manifest(repository, reference).await?;
                    Ok(manifest.map(|manifest| ManifestHead { digest: manifest.digest }))
                }
            },
            // A 404 without a body could be anybody's: only the body of a GET tells the registry's own from a stray one.
            StatusCode::NOT_FOUND => {
                let manifest = self.manifest(repository, reference).await?;
                Ok(manifest.map(|manifest| ManifestHead { digest: manifest.digest }))
            }
            status => Err(refused(asked, status, &answer.headers)),
        }
    }

    /// A manifest with its bytes. `Ok(None)` is the registry's own "not there" about this very reference.
    ///
    /// # Errors
    /// Whenever the registry gave no clear answer, or one whose bytes do not have the digest asked for.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Manifest>, RegistryError> {
        let (asked, Received { status, headers, body }) =
            self.ask_about(Method::GET, repository, reference).await?;
        match status {
            StatusCode::OK => {
                read_manifest(asked.clone(), reference, &headers, whole(&asked, body)?).map(Some)
            }
            StatusCode::NOT_FOUND if is_absence(&whole(&asked, body)?) => Ok(None),
            StatusCode::NOT_FOUND => Err(RegistryError::Malformed { asked, reason: NOT_ITS_OWN.to_owned() }),
            status => Err(refused(asked, status, &headers)),
        }
    }

    /// Carries a write to the first backend that takes a connection, and waits for the answer.
    ///
    /// Dropping the future leaves the outcome unknown.
    ///
    /// # Errors
    /// [`CarryError::NotSent`] when no backend has heard of it; the others when the outcome is unknown.
    pub async fn carry(&self, write: &OutgoingWrite) -> Result<Answer, CarryError> {
        let mut tried = Vec::new();
        let mut not_sent = None;
        while let Some(backend) = self.backends.choose(&tried) {
            match self.carry_to(&backend, write).await {
                Err(CarryError::NotSent(error)) => {
                    backend.note_health(false);
                    tried.push(backend.key().clone());
                    not_sent = Some(CarryError::NotSent(error));
                }
                settled => return settled,
            }
        }
        // There is at least one backend, and each that was passed over has left its error.
        Err(not_sent.unwrap_or(CarryError::NotSent(TransportError::Connect(Causes::default()))))
    }

    async fn carry_to(&self, backend: &Arc<Backend>, write: &OutgoingWrite) -> Result<Answer, CarryError> {
        // The path is passed on byte for byte: it has been parsed in exactly one way and must be read so again.
        let url = format!("{}{}", backend.url().as_str().trim_end_matches('/'), write.path_and_query);
        let request = Request {
            method: write.method.clone(),
            url,
            headers: write.headers.clone(),
            body: write.body.clone(),
            limit: MAXIMUM_ANSWER_BYTES,
            patience: RequestPatience::Commit {
                patience: Patience { timeout: self.timeout, commit_timeout: self.commit_timeout },
                backend: Arc::clone(backend),
            },
        };
        let Received { status, headers, body } = self.send(request).await?;
        // The status has told the outcome; a body that breaks off changes nothing about it.
        let body = body.unwrap_or_else(|error| {
            tracing::warn!(%error, "the registry's answer to a write has no whole body");
            Bytes::new()
        });
        Ok(Answer { status, headers, body })
    }

    async fn ask_about(
        &self,
        method: Method,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(String, Received), RegistryError> {
        let asked = format!("{method} {repository}:{reference}");
        let path = format!("v2/{repository}/manifests/{reference}");
        let access = to_pull(repository);
        let answer = self
            .ask(&asked, method, &path, Some(MANIFEST_ACCEPT), Some(access), MAXIMUM_MANIFEST_BYTES)
            .await?;
        Ok((asked, answer))
    }

    /// Sends a request, and notes what the answer says of the registry's clock.
    async fn send(&self, request: Request) -> Result<Received, TransportError> {
        let sent = self.clock.now();
        let answer = self.transport.send(request).await;
        if let Ok(Received { headers, .. }) = &answer
            && let Some(date) = date(headers)
        {
            // A body that took its time widens the bounds, and no more.
            self.offset.note(Sample { sent, received: self.clock.now(), date });
        }
        answer
    }

    /// Asks one backend after the other, until one gives an answer, or none in time. `path` is relative to the backend's
    /// root; `access` is what the question needs.
    pub(super) async fn ask(
        &self,
        asked: &str,
        method: Method,
        path: &str,
        accept: Option<&'static str>,
        access: Option<Access>,
        limit: usize,
    ) -> Result<Received, RegistryError> {
        let authorization = self.login.authorization(None, access.as_slice()).map_err(|error| {
            RegistryError::Malformed { asked: asked.to_owned(), reason: error.to_string() }
        })?;
        let mut tried = Vec::new();
        let mut unreachable = None;
        while let Some(backend) = self.backends.choose(&tried) {
            let url = format!("{}{path}", backend.url());
            let question = question(method.clone(), url, accept, authorization.clone(), limit);
            match self.send(question).await {
                Err(TransportError::TimedOut(limit)) => {
                    return Err(RegistryError::TimedOut { asked: asked.to_owned(), limit });
                }
                Err(error) => {
                    backend.note_health(!matches!(error, TransportError::Connect(_)));
                    tried.push(backend.key().clone());
                    unreachable = Some(error);
                }
                Ok(answer) => return Ok(answer),
            }
        }
        let asked = asked.to_owned();
        match unreachable {
            Some(source) => Err(RegistryError::Unreachable { asked, source }),
            None => Err(RegistryError::Malformed { asked, reason: "no backend is configured".to_owned() }),
        }
    }
}

/// What it takes to read a repository.
pub(super) fn to_pull(repository: &RepositoryName) -> Access {
    Access::to(repository.clone(), Actions::of(&[Action::Pull]))
}

/// The `Date` of an answer.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(Timestamp::from)
}

fn question(
    method: Method,
    url: String,
    accept: Option<&'static str>,
    authorization: Option<HeaderValue>,
    limit: usize,
) -> Request {
    let mut headers = HeaderMap::new();
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(accept) = accept {
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
    }
    let patience = RequestPatience::Answer;
    Request { method, url, headers, body: Bytes::new(), limit, patience }
}

/// The body, if it is whole.
pub(super) fn whole(asked: &str, body: Result<Bytes, BodyError>) -> Result<Bytes, RegistryError> {
    body.map_err(|source| RegistryError::Broken { asked: asked.to_owned(), source })
}

/// An answer that is neither what was asked for nor "not there".
pub(super) fn refused(asked: String, status: StatusCode, headers: &HeaderMap) -> RegistryError {
    RegistryError::Refused { asked, status, retry_after: retry_after(headers, Timestamp::now()) }
}

/// The digest in `Docker-Content-Digest`, if there is a valid one.
fn digest_named(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get(DOCKER_CONTENT_DIGEST)?;
    Digest::parse(value.to_str().ok()?).ok()
}

impl Answer {
    /// The digest that the registry says it stored, if it says so.
    pub fn digest(&self) -> Option<Digest> {
        digest_named(&self.headers)
    }
}

fn read_manifest(
    asked: String,
    reference: &Reference,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Manifest, RegistryError> {
    let media_type =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(MediaType::from_header);
    let named = match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(_) => digest_named(headers),
    };
    if let Some(digest) = &named
        && digest.matches(&body) == Some(false)
    {
        let reason = format!("the bytes do not have the digest {digest}");
        return Err(RegistryError::Malformed { asked, reason });
    }
    // What the registry holds is recorded even if its document is not what its type promises.
    let manifest = Manifest::parse(body.clone(), media_type).unwrap_or_else(|error| {
        tracing::warn!(%asked, %error, "the registry holds a manifest that cannot be read; its name and bytes are kept");
        Manifest::unread(body, MediaType::from_header(headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()))
    });
    Ok(match named {
        Some(digest) => manifest.with_digest(digest),
        None => manifest,
    })
}

/// Whether the body of a 404 is the specification's, so that it speaks for the registry.
pub(super) fn is_absence(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        code: String,
    }
    serde_json::from_slice::<Body>(body).is_ok_and(|body| {
        let is_unknown = |entry: &Entry| {
            matches!(entry.code.as_str(), "MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "NOT_FOUND" | "BLOB_UNKNOWN")
        };
        body.errors.first().is_some_and(is_unknown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_specifications_own_404_means_absence() {
        assert!(is_absence(
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"x","detail":{"Tag":"a"}}]}"#
        ));
        assert!(is_absence(br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#));
        for other in [
            &b""[..],
            b"404 page not found",
            b"<html>",
            br#"{"errors":[]}"#,
            br#"{"errors":[{"code":"UNKNOWN"}]}"#,
        ] {
            assert!(!is_absence(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn bytes_that_do_not_have_the_digest_asked_for_are_no_manifest() {
        let reference = Reference::Digest(Digest::sha256(b"something else"));
        let answer =
            read_manifest("GET".to_owned(), &reference, &HeaderMap::new(), Bytes::from_static(b"{}"));
        assert!(matches!(answer, Err(RegistryError::Malformed { .. })));
    }
}
