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
use super::transport::{
    BodyError, Causes, HttpTransport, Received, Request, RequestPatience, Transport, TransportError,
};
use super::{
    Answer, Backend, Backends, CarryError, Login, OutgoingWrite, Presence, RegistryError, retry_after,
};
use crate::auth::{Access, Action, Actions, SigningFailed};
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
    Signing(#[from] SigningFailed),
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
    let in_header = digest_named(headers);
    let asked_for = match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(_) => None,
    };
    for digest in asked_for.iter().chain(&in_header) {
        if digest.matches(&body) == Some(false) {
            let reason = format!("the bytes do not have the digest {digest}");
            return Err(RegistryError::Malformed { asked, reason });
        }
    }
    let named = asked_for.or(in_header);
    let manifest = if named.as_ref().and_then(|digest| digest.matches(&body)) == Some(true) {
        // What the registry holds is recorded even if its document is not what its type promises.
        Manifest::parse(body.clone(), media_type.clone()).unwrap_or_else(|error| {
            tracing::warn!(%asked, %error, "the registry holds a manifest that cannot be read; its name and bytes are kept");
            Manifest::unread(body, media_type.unwrap_or_else(|| MediaType::from("")))
        })
    } else {
        // Nothing says that these bytes are the registry's: a gateway answers its page with 200 as well.
        Manifest::recognise(body, media_type)
            .map_err(|error| RegistryError::Malformed { asked, reason: error.to_string() })?
    };
    Ok(match named {
        Some(digest) => manifest.with_digest(digest),
        None => manifest,
    })
}

/// Whether a registry that was asked for a digest names another one. One of another algorithm may be of the same bytes.
fn is_another(named: &Digest, asked_for: &Reference) -> bool {
    match asked_for {
        Reference::Digest(digest) => digest.algorithm() == named.algorithm() && digest != named,
        Reference::Tag(_) => false,
    }
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

    const IMAGE: &str = r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

    fn read(reference: &str, headers: &[(http::HeaderName, &str)], body: &str) -> Option<Manifest> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let reference = Reference::parse(reference).unwrap();
        read_manifest("GET".to_owned(), &reference, &headers, Bytes::copy_from_slice(body.as_bytes())).ok()
    }

    #[test]
    fn without_a_digest_only_what_is_recognisably_a_manifest_counts() {
        let digest = http::HeaderName::from_static(DOCKER_CONTENT_DIGEST);
        let page = "<html>please log in</html>";
        for media_type in ["text/html", "application/json", MediaType::OCI_MANIFEST, ""] {
            for body in [
                page,
                "",
                "{}",
                "[]",
                "null",
                r#"{"schemaVersion":2}"#,
                r#"{"errors":[]}"#,
                r#"{"config":{},"layers":[]}"#,
            ] {
                assert_eq!(read("latest", &[(CONTENT_TYPE, media_type)], body), None, "{media_type} {body}");
            }
        }
        // A registry that sends no type and no digest.
        for media_type in ["text/plain", "application/json", MediaType::OCI_MANIFEST] {
            let found = read("latest", &[(CONTENT_TYPE, media_type)], IMAGE).unwrap();
            assert_eq!(
                (found.digest.clone(), found.media_type.as_str()),
                (Digest::sha256(IMAGE.as_bytes()), MediaType::OCI_MANIFEST)
            );
        }
        // The digest vouches for what the door cannot read.
        let own = Digest::sha256(page.as_bytes());
        assert!(read("latest", &[(digest, own.as_str())], page).is_some());
        assert!(read(own.as_str(), &[], page).is_some());
    }

    #[test]
    fn a_body_that_contradicts_the_digest_in_its_header_is_malformed_however_it_was_asked_for() {
        let name = http::HeaderName::from_static(DOCKER_CONTENT_DIGEST);
        let (own, other) = (Digest::sha256(IMAGE.as_bytes()), Digest::sha256(b"other"));
        for reference in ["latest", own.as_str()] {
            let headers = [(CONTENT_TYPE, MediaType::OCI_MANIFEST), (name.clone(), other.as_str())];
            assert_eq!(read(reference, &headers, IMAGE), None, "{reference}");
        }
    }

    #[test]
    fn a_registry_that_names_another_digest_than_the_one_asked_for_is_not_believed() {
        let asked = Reference::Digest(Digest::sha256(b"a"));
        assert!(is_another(&Digest::sha256(b"b"), &asked));
        assert!(!is_another(&Digest::sha256(b"a"), &asked));
        let sha512 = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
        assert!(!is_another(&sha512, &asked), "it may be of the same bytes");
    }

    #[test]
    fn bytes_that_do_not_have_the_digest_asked_for_are_no_manifest() {
        let reference = Reference::Digest(Digest::sha256(b"something else"));
        let answer =
            read_manifest("GET".to_owned(), &reference, &HeaderMap::new(), Bytes::from_static(b"{}"));
        assert!(matches!(answer, Err(RegistryError::Malformed { .. })));
    }
}
