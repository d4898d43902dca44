//! The client itself: which backend a question goes to, with which credentials, and what its answer says of the registry's
//! clock. The questions stand in files of their own.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::AUTHORIZATION;

use super::credentials::{RequestCredentials, date};
use super::page_size::PageSize;
use super::question::Question;
use super::settings::{RegistryKind, RegistrySettings};
use super::transport::{Received, Request, Transport, TransportError};
use super::{Backend, Backends, RegistryCredentials, RegistryError, TokenError};
use crate::clock::{Sample, Timestamp};

/// The door's own client to the registry. Cheap to share; its connections are pooled and bounded by its callers.
#[derive(Debug)]
pub struct RegistryClient {
    transport: Arc<dyn Transport>,
    settings: RegistrySettings,
    pub(super) catalog_pages: PageSize,
    pub(super) tag_pages: PageSize,
}

impl RegistryClient {
    /// A client that sends its requests by this transport.
    pub fn new(settings: RegistrySettings, transport: Arc<dyn Transport>) -> Self {
        Self { transport, settings, catalog_pages: PageSize::default(), tag_pages: PageSize::default() }
    }

    /// Whether it is a pull-through cache, which fetches what it is asked for.
    pub fn is_cache(&self) -> bool {
        self.settings.kind == RegistryKind::Proxy
    }

    /// The backends it speaks to.
    pub fn backends(&self) -> &Arc<Backends> {
        &self.settings.backends
    }

    /// The door's credentials.
    pub(super) fn credentials(&self) -> &Arc<RegistryCredentials> {
        &self.settings.credentials
    }

    /// How long it waits for a connection, or for an answer to begin.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// How long it waits for the answer to a write.
    pub fn commit_timeout(&self) -> Duration {
        self.settings.commit_timeout
    }

    /// The time by the door's clock: what is recorded of the registry's answers is recorded with it.
    pub fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// How requests travel.
    pub(super) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Sends a request, and notes what the answer says of the backend's clock.
    pub(super) async fn send(&self, backend: &Backend, request: Request) -> Result<Received, TransportError> {
        let sent = self.settings.clock.steady();
        let answer = self.transport.send(request).await;
        if let Ok(Received { headers, .. }) = &answer
            && let Some(date) = date(headers)
        {
            // A body that took its time widens the bounds, and no more.
            let sample = Sample { sent, received: self.settings.clock.steady(), date };
            self.settings.offset.note(backend.key().as_str(), sample);
        }
        answer
    }

    /// Sends a request with the door's credentials; once more if they are refused for the backend's clock alone.
    pub(super) async fn send_with_credentials(
        &self,
        backend: &Backend,
        credentials: &RequestCredentials,
        mut request: Request,
    ) -> Result<Received, SendError> {
        let mut is_repeated = false;
        loop {
            let sent = credentials.issue(backend)?;
            request.headers.remove(AUTHORIZATION);
            request.headers.extend(sent.authorization.clone().map(|value| (AUTHORIZATION, value)));
            let answer = self.send(backend, request.clone()).await?;
            if is_repeated
                || answer.status != StatusCode::UNAUTHORIZED
                || !credentials.is_worth_retrying(backend, &sent, &answer.headers)
            {
                return Ok(answer);
            }
            is_repeated = true;
        }
    }

    /// Asks one backend after the other, until one gives an answer, or none in time.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Received, RegistryError> {
        let asked = || question.asked.to_owned();
        let access = question.access.iter().cloned().collect();
        let credentials = RequestCredentials::new(Arc::clone(&self.settings.credentials), None, access);
        let mut tried = Vec::new();
        let mut unreachable = None;
        while let Some(backend) = self.settings.backends.choose(&tried) {
            match self.send_with_credentials(&backend, &credentials, question.to(&backend)).await {
                Err(SendError::Signing(error)) => {
                    return Err(RegistryError::NotSigned { asked: asked(), source: error });
                }
                Err(SendError::Transport(TransportError::TimedOut(limit))) => {
                    return Err(RegistryError::TimedOut { asked: asked(), limit });
                }
                Err(SendError::Transport(error)) => {
                    backend.note_health(!matches!(error, TransportError::Connect(_)));
                    tried.push(backend.key().clone());
                    unreachable = Some(error);
                }
                Ok(answer) => return Ok(answer),
            }
        }
        match unreachable {
            Some(source) => Err(RegistryError::Unreachable { asked: asked(), source }),
            None => Err(RegistryError::NoBackend { asked: asked() }),
        }
    }
}

/// Why a request with the door's credentials has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// There are no credentials. Nothing was sent.
    #[error(transparent)]
    Signing(#[from] TokenError),
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
}
