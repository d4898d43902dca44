//! Carrying a write to the registry.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Method;

use super::client::SendError;
use super::metrics::first_byte_seconds;
use super::question::MAXIMUM_ANSWER_BYTES;
use super::timeouts::RegistryTimeouts;
use super::transport::{Causes, Received, Request, RequestTimeout, TransportError};
use super::{Backend, CarryError, OutgoingWrite, RegistryClient, WriteAnswer};

impl RegistryClient {
    /// Carries a write to the first backend that takes a connection, and waits for the answer.
    ///
    /// Dropping the future leaves the outcome unknown.
    ///
    /// # Errors
    /// [`CarryError::NotSent`] when no backend has heard of it; the others when the outcome is unknown.
    pub async fn carry(&self, write: &OutgoingWrite) -> Result<WriteAnswer, CarryError> {
        let mut tried = Vec::new();
        let mut not_sent = None;
        while let Some(backend) = self.backends().choose(&tried) {
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

    async fn carry_to(
        &self,
        backend: &Arc<Backend>,
        write: &OutgoingWrite,
    ) -> Result<WriteAnswer, CarryError> {
        // The path is passed on byte for byte: it has been parsed in exactly one way and must be read so again.
        let url = format!("{}{}", backend.url().as_str().trim_end_matches('/'), write.path_and_query);
        let request = Request {
            method: write.method.clone(),
            url,
            headers: write.headers.clone(),
            body: write.body.clone(),
            limit: MAXIMUM_ANSWER_BYTES,
            timeout: RequestTimeout::Commit {
                timeouts: RegistryTimeouts { timeout: self.timeout(), commit_timeout: self.commit_timeout() },
                backend: Arc::clone(backend),
            },
        };
        let asked = Instant::now();
        let answer = match &write.credentials {
            Some(credentials) => self.send_with_credentials(backend, credentials, request).await,
            None => self.send(backend, request).await.map_err(SendError::from),
        };
        if answer.is_ok() {
            let route = if write.method == Method::DELETE { "manifest_delete" } else { "manifest_put" };
            first_byte_seconds(route).record(asked.elapsed());
        }
        let Received { status, headers, body } = answer.map_err(|error| match error {
            SendError::Signing(error) => CarryError::NotSigned(error),
            SendError::Transport(error) => CarryError::from(error),
        })?;
        // The status has told the outcome; a body that breaks off changes nothing about it.
        let body = body.unwrap_or_else(|error| {
            tracing::warn!(%error, "the registry's answer to a write has no whole body");
            Bytes::new()
        });
        Ok(WriteAnswer { status, headers, body })
    }
}
