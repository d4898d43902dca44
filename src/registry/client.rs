//! Questions to the registry, and carrying a write.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::health::PROBE_LIMIT;
use super::login::{Introduction, date};
use super::origin::is_absence_at_origin;
use super::page_size::PageSize;
use super::patience::Patience;
use super::reading::{NOT_ITS_OWN, digest_named, is_absence, is_another, read_manifest, refused, whole};
use super::transport::{
    Causes, HttpTransport, Received, Request, RequestPatience, Transport, TransportError,
};
use super::{
    Answer, Backend, Backends, CarryError, Login, OutgoingWrite, Presence, RegistryError, TokenError,
};
use crate::clock::{Clock, ClockOffset, Sample, Timestamp};
use crate::oci::{
    Access, Action, Actions, Digest, MANIFEST_ACCEPT, MAXIMUM_MANIFEST_BYTES, Manifest, Reference,
    RepositoryName,
};

/// How long an answer that is no manifest may be.
const MAXIMUM_ANSWER_BYTES: usize = 1024 * 1024;
/// What the door calls itself when it asks for itself; a write that it carries keeps its client's name.
const AGENT: &str = concat!("portreeve/", env!("CARGO_PKG_VERSION"));

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
    kind: RegistryKind,
}

/// What the registry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RegistryKind {
    /// It holds what was pushed to it.
    #[default]
    Registry,
    /// It is a pull-through cache of another registry, its origin: what it is asked for and does not hold, it fetches.
    Proxy,
}

/// How the registry is asked, beside where it is.
#[derive(Debug, Clone)]
pub struct Asking {
    /// What it is.
    pub kind: RegistryKind,
    /// How the door shows itself.
    pub login: Arc<Login>,
    /// The door's own clock.
    pub clock: Clock,
    /// What is known of the registry's; every answer adds to it.
    pub offset: Arc<ClockOffset>,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            kind: RegistryKind::Registry,
            login: Arc::new(Login::None),
            clock: Clock::SYSTEM,
            offset: Arc::default(),
        }
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
            kind: RegistryKind::Registry,
        }
    }

    /// The same, asking in this way.
    #[must_use]
    pub fn asking(self, Asking { kind, login, clock, offset }: Asking) -> Self {
        Self { kind, login, clock, offset, ..self }
    }

    /// Whether it is a pull-through cache, which fetches what it is asked for.
    pub fn is_cache(&self) -> bool {
        self.kind == RegistryKind::Proxy
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

    /// Whether a registry is behind this backend now.
    pub async fn probe(&self, backend: &Backend) -> Presence {
        let url = format!("{}v2/", backend.url());
        let asking = self.send(backend, question(Method::GET, url, None, MAXIMUM_ANSWER_BYTES));
        let presence = match tokio::time::timeout(self.timeout.min(PROBE_LIMIT), asking).await {
            Ok(Ok(answer)) => Presence::of(&answer),
            Ok(Err(_)) | Err(_) => Presence::Silent,
        };
        if presence.is_registry() {
            backend.note_answer();
        }
        presence
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
                Some(digest) if is_another(&digest, reference) => {
                    let reason = format!("it names the digest {digest} instead");
                    Err(RegistryError::Malformed { asked, reason })
                }
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
            // A cache says it so, if its origin does not have it; only the body of a GET tells.
            StatusCode::INTERNAL_SERVER_ERROR if self.is_cache() => {
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
        let is_denied = self.is_cache() && body.as_ref().is_ok_and(|body| is_absence_at_origin(body));
        match status {
            StatusCode::OK => {
                read_manifest(asked.clone(), reference, &headers, whole(&asked, body)?).map(Some)
            }
            StatusCode::NOT_FOUND if is_absence(&whole(&asked, body)?) => Ok(None),
            StatusCode::NOT_FOUND => Err(RegistryError::Malformed { asked, reason: NOT_ITS_OWN.to_owned() }),
            StatusCode::INTERNAL_SERVER_ERROR if is_denied => Ok(None),
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
        let answer = match &write.introduction {
            Some(introduction) => self.send_introduced(backend, introduction, request).await,
            None => self.send(backend, request).await.map_err(SendError::from),
        };
        let Received { status, headers, body } = answer.map_err(|error| match error {
            SendError::Signing(error) => CarryError::NotSigned(error),
            SendError::Transport(error) => CarryError::from(error),
        })?;
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

    /// The time by the door's clock: what is recorded of the registry's answers is recorded with it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sends a request, and notes what the answer says of the backend's clock.
    async fn send(&self, backend: &Backend, request: Request) -> Result<Received, TransportError> {
        let sent = self.clock.steady();
        let answer = self.transport.send(request).await;
        if let Ok(Received { headers, .. }) = &answer
            && let Some(date) = date(headers)
        {
            // A body that took its time widens the bounds, and no more.
            let sample = Sample { sent, received: self.clock.steady(), date };
            self.offset.note(backend.key().as_str(), sample);
        }
        answer
    }

    /// Sends a request in which the door shows itself; once more if it is refused for the clock of the backend alone.
    async fn send_introduced(
        &self,
        backend: &Backend,
        introduction: &Introduction,
        mut request: Request,
    ) -> Result<Received, SendError> {
        let mut is_repeated = false;
        loop {
            let shown = introduction.show(backend)?;
            request.headers.remove(AUTHORIZATION);
            request.headers.extend(shown.authorization.clone().map(|value| (AUTHORIZATION, value)));
            let answer = self.send(backend, request.clone()).await?;
            if is_repeated
                || answer.status != StatusCode::UNAUTHORIZED
                || !introduction.is_worth_repeating(backend, &shown, &answer.headers)
            {
                return Ok(answer);
            }
            is_repeated = true;
        }
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
        let question = |url| question(method.clone(), url, accept, limit);
        self.ask_one_by_one(asked, path, access, question).await
    }

    /// The same with a body of this type, if there is one.
    pub(super) async fn ask_with(
        &self,
        asked: &str,
        method: Method,
        path: &str,
        content: Option<(&'static str, Bytes)>,
        access: Option<Access>,
        limit: usize,
    ) -> Result<Received, RegistryError> {
        let question = |url| {
            let mut question = question(method.clone(), url, None, limit);
            if let Some((media_type, body)) = &content {
                question.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
                question.body = body.clone();
            }
            question
        };
        self.ask_one_by_one(asked, path, access, question).await
    }

    async fn ask_one_by_one(
        &self,
        asked: &str,
        path: &str,
        access: Option<Access>,
        question: impl Fn(String) -> Request,
    ) -> Result<Received, RegistryError> {
        let introduction = Introduction::new(Arc::clone(&self.login), None, access.into_iter().collect());
        let mut tried = Vec::new();
        let mut unreachable = None;
        while let Some(backend) = self.backends.choose(&tried) {
            let url = format!("{}{path}", backend.url());
            match self.send_introduced(&backend, &introduction, question(url)).await {
                Err(SendError::Signing(error)) => {
                    return Err(RegistryError::Malformed {
                        asked: asked.to_owned(),
                        reason: error.to_string(),
                    });
                }
                Err(SendError::Transport(TransportError::TimedOut(limit))) => {
                    return Err(RegistryError::TimedOut { asked: asked.to_owned(), limit });
                }
                Err(SendError::Transport(error)) => {
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

/// Why a request in which the door shows itself has no answer.
#[derive(Debug, thiserror::Error)]
enum SendError {
    /// Nothing was sent: there is nothing to show.
    #[error(transparent)]
    Signing(#[from] TokenError),
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// What it takes to read a repository.
pub(super) fn to_pull(repository: &RepositoryName) -> Access {
    Access::to(repository.clone(), Actions::of(&[Action::Pull]))
}

fn question(method: Method, url: String, accept: Option<&'static str>, limit: usize) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(accept) = accept {
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
    }
    let patience = RequestPatience::Answer;
    Request { method, url, headers, body: Bytes::new(), limit, patience }
}
