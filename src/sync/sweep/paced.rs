//! A transport that waits for its turn: whatever a sweep asks of the registry goes through here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use super::pace::{Pace, Question, Reply};
use crate::registry::{BodyError, Received, Request, Transport, TransportError};

/// See the module.
#[derive(Debug)]
pub(super) struct PacedTransport {
    transport: Arc<dyn Transport>,
    pace: Arc<Pace>,
}

impl PacedTransport {
    pub fn new(transport: Arc<dyn Transport>, pace: Arc<Pace>) -> Self {
        Self { transport, pace }
    }
}

#[async_trait]
impl Transport for PacedTransport {
    async fn send(&self, request: Request) -> Result<Received, TransportError> {
        let turn = self.pace.turn(question(&request)).await;
        let received = self.transport.send(request).await;
        turn.note(reply(&received));
        received
    }
}

fn question(request: &Request) -> Question {
    let path = request.url.split('?').next().unwrap_or_default();
    if path.ends_with("/_catalog") {
        Question::Catalog
    } else if path.ends_with("/tags/list") {
        Question::Tags
    } else {
        Question::Manifest
    }
}

/// What an answer tells about the registry: that it is in trouble, so that it should be asked less and may answer later;
/// that it failed on this question; or nothing, since an unwelcome answer is one.
fn reply(received: &Result<Received, TransportError>) -> Reply {
    match received {
        Err(TransportError::Connect(_) | TransportError::Lost(_)) => Reply::Trouble(None),
        Err(TransportError::TimedOut(_)) => Reply::Fault,
        Ok(Received { body: Err(BodyError::TimedOut(_) | BodyError::Broken(_)), .. }) => Reply::Fault,
        Ok(Received { status, headers, .. }) => match *status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Reply::Trouble(retry_after(headers)),
            status if status.is_server_error() => Reply::Fault,
            _ => Reply::Answered,
        },
    }
}

/// How long the registry asks to be left alone, where it says so in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
