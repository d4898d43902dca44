//! A transport that waits for a permit of the adaptive limit: whatever a sweep asks of the registry goes through here.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::adaptive_limit::{AdaptiveLimit, Question, Reply};
use super::troubles::Subject;
use crate::clock::Timestamp;
use crate::registry::{BodyError, Received, Request, Transport, TransportError, retry_after};

/// How many KiB of answers a sweep holds before it asks for more: manifests that wait for the store, and listings until
/// they are read. Beyond that there is at most what the questions under way bring.
const HELD: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct LimitedTransport {
    transport: Arc<dyn Transport>,
    limit: Arc<AdaptiveLimit>,
    /// A permit for each KiB of answers.
    room: Arc<Semaphore>,
}

/// The bytes of an answer, with their part of the room until the last reference to them is dropped.
struct Held {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl LimitedTransport {
    pub(super) fn new(transport: Arc<dyn Transport>, limit: Arc<AdaptiveLimit>) -> Self {
        Self { transport, limit, room: Arc::new(Semaphore::new(HELD)) }
    }

    /// Waits until there is room for these bytes, and counts them for as long as they are held.
    async fn held(&self, bytes: Bytes) -> Bytes {
        let size = u32::try_from(bytes.len().div_ceil(1024).clamp(1, HELD)).unwrap_or(1);
        // The semaphore is never closed; were it, there would be no bound.
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.ok();
        Bytes::from_owner(Held { bytes, _room: room })
    }
}

#[async_trait]
impl Transport for LimitedTransport {
    async fn send(&self, request: Request) -> Result<Received, TransportError> {
        let (question, subject) = about(&request);
        // Listings are asked for by GET alone. To ask for a digest brings no bytes.
        let is_fetch = request.method == Method::GET;
        if is_fetch {
            // Permits are given in the order of asking, so this also waits behind everybody who waits for more.
            drop(self.room.acquire().await);
        }
        let mut permit = self.limit.acquire(question, subject).await;
        let mut sending = self.transport.send(request);
        let mut received = loop {
            match tokio::time::timeout(permit.patience(), &mut sending).await {
                Ok(received) => break received,
                Err(_elapsed) if permit.step_aside() => break sending.await,
                Err(_elapsed) => {}
            }
        };
        permit.note(reply(&received));
        if let Ok(Received { body: Ok(body), .. }) = &mut received
            && is_fetch
        {
            *body = self.held(std::mem::take(body)).await;
        }
        received
    }
}

/// What kind of question it is, and what it is about, whichever backend is asked.
fn about(request: &Request) -> (Question, Subject) {
    let path = request.url.split('?').next().unwrap_or_default();
    let path = path.find("/v2/").map_or(path, |begin| &path[begin..]);
    let question = if path == "/v2/_catalog" {
        Question::Catalog
    } else if path.ends_with("/tags/list") {
        Question::Tags
    } else {
        Question::Manifest
    };
    (question, Subject::of(path))
}

/// What an answer tells about the registry: that it is in trouble, so that it should be asked less and may answer later;
/// that it has no answer to this now; that it failed on this question; or nothing, since an unwelcome answer is one.
fn reply(received: &Result<Received, TransportError>) -> Reply {
    match received {
        Err(TransportError::Connect(_)) => Reply::Trouble(None),
        Err(TransportError::Lost(_)) => Reply::Unavailable,
        Err(TransportError::TimedOut(_) | TransportError::GivenUp(_)) => Reply::Fault,
        Ok(Received {
            body: Err(BodyError::TimedOut(_) | BodyError::Endless(_) | BodyError::Broken(_)),
            ..
        }) => Reply::Fault,
        Ok(Received { status, headers, .. }) => match *status {
            StatusCode::TOO_MANY_REQUESTS => Reply::Trouble(retry_after(headers, Timestamp::now())),
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                match retry_after(headers, Timestamp::now()) {
                    None => Reply::Unavailable,
                    wanted => Reply::Trouble(wanted),
                }
            }
            status if status.is_server_error() => Reply::Fault,
            _ => Reply::Answered,
        },
    }
}
