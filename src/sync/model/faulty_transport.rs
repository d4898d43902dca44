//! The transport to the registry in the model, and all that can happen on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::registry::{Heard, Outage, REPOSITORIES, Registry, State};
use super::steps::StepsOfALife;
use crate::registry::{BodyError, Causes, Received, Request, Transport, TransportError};
use crate::store::{DoorId, MemoryMedium};

/// How long the door waits for an answer.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// How long after that a registry may still be at a write, in milliseconds: less than the door watches it for.
const LATE: u64 = 4_000;

/// The transport of one door to the registry.
#[derive(Debug)]
pub struct FaultyTransport {
    pub registry: Arc<Registry>,
    pub steps: Arc<StepsOfALife>,
    /// Where its intents are.
    pub medium: MemoryMedium,
    pub door: DoorId,
}

/// What becomes of a request, apart from being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// No connection comes about.
    Refuse,
    /// The connection breaks, before or after the request has taken effect.
    Lose {
        after: bool,
    },
    /// Nothing comes back in time; the effect comes before the door gives up, or never.
    Hang {
        after: bool,
    },
    /// An answer with this status, before or after the effect.
    Fail {
        after: bool,
        status: u16,
        retry_after: Option<u64>,
    },
    /// A page in place of the answer, before or after the effect.
    Page {
        after: bool,
    },
    /// The body breaks off, and the connection tells of it or not.
    Truncate {
        told: bool,
    },
}

impl State {
    fn fault(&mut self) -> Fault {
        if let Some((_, outage)) = self.outage.filter(|(until, _)| Instant::now() < *until) {
            return match outage {
                Outage::Deaf => Fault::Refuse,
                Outage::Unavailable(retry_after) => Fault::Fail { after: false, status: 503, retry_after },
                Outage::Broken => {
                    Fault::Fail { after: self.random.one_in(2), status: 500, retry_after: None }
                }
            };
        }
        if self.faults == 0 || !self.random.one_in(self.faults) {
            return Fault::None;
        }
        let after = self.random.one_in(2);
        match self.random.below(9) {
            0 => Fault::Refuse,
            1 => Fault::Lose { after },
            2 => Fault::Hang { after },
            3 | 4 => {
                // "Too many" is only said of what was not done.
                let statuses: &[u16] = if after { &[500, 502, 503] } else { &[500, 502, 503, 504, 429] };
                let retry_after = self.random.one_in(3).then(|| self.random.below(4));
                Fault::Fail { after, status: *self.random.pick(statuses), retry_after }
            }
            // A 404 that is not the registry's own; and somebody who sends the door elsewhere.
            5 => Fault::Fail { after: false, status: 404, retry_after: None },
            // Of a manifest that nobody has named nothing else would tell.
            8 => Fault::Page { after },
            6 => Fault::Truncate { told: after || self.nature.unnamed_digests },
            _ => Fault::Fail { after: false, status: *self.random.pick(&[301, 302, 307]), retry_after: None },
        }
    }
}

#[async_trait]
impl Transport for FaultyTransport {
    async fn send(&self, request: Request) -> Result<Received, TransportError> {
        let Request { method, url, headers, body, .. } = request;
        let url = Url::parse(&url).unwrap();
        let is_head = method == Method::HEAD;
        if is_head || method == Method::GET {
            self.steps.take().await;
        } else {
            let has_stood_still = self.steps.send_write().await;
            let path = url.path().trim_start_matches("/v2/");
            if let Some((repository, reference)) = path.split_once("/manifests/")
                && REPOSITORIES.contains(&repository)
                && !has_stood_still
                && !self.medium.carries(self.door, repository, reference)
            {
                self.steps.note_sent_wrongly(format!(
                    "{method} {repository}:{reference} was sent by a door whose write it was not"
                ));
            }
        }
        let (fault, there, back, arrived) = {
            let mut state = self.registry.state();
            let slow = match state.faults {
                _ if state.nature.slow => 2_000,
                0 => 3,
                _ => 40,
            };
            state.arrived += 1;
            let arrived = state.arrived;
            let fault = state.fault();
            let is_cut = matches!(
                fault,
                Fault::Refuse
                    | Fault::Lose { after: false }
                    | Fault::Fail { after: false, .. }
                    | Fault::Page { after: false }
            );
            if !is_cut {
                state.pending.insert(arrived, Heard { method, url, headers, body });
            }
            (fault, state.random.milliseconds(slow), state.random.milliseconds(slow), arrived)
        };
        let lost = || TransportError::Lost(Causes::default());
        tokio::time::sleep(there).await;
        match fault {
            Fault::Refuse => return Err(TransportError::Connect(Causes::default())),
            Fault::Lose { after: false } => return Err(lost()),
            Fault::Hang { after: false } => {
                // It may still take effect after the door has given up waiting.
                let late = TIMEOUT + self.registry.state().random.milliseconds(LATE);
                let registry = Arc::clone(&self.registry);
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    registry.take_effect(arrived)
                });
                tokio::time::sleep(TIMEOUT).await;
                return Err(TransportError::TimedOut(TIMEOUT));
            }
            Fault::Fail { after: false, status, retry_after } => return Ok(failure(status, retry_after)),
            Fault::Page { after: false } => return Ok(page(is_head)),
            _ => {}
        }
        let Some((status, headers, bytes)) = self.registry.take_effect(arrived) else { return Err(lost()) };
        self.steps.take().await;
        tokio::time::sleep(back).await;
        match fault {
            Fault::Lose { after: true } => return Err(lost()),
            Fault::Hang { after: true } => {
                tokio::time::sleep(TIMEOUT).await;
                return Err(TransportError::TimedOut(TIMEOUT));
            }
            Fault::Fail { after: true, status, retry_after } => return Ok(failure(status, retry_after)),
            Fault::Page { after: true } => return Ok(page(is_head)),
            _ => {}
        }
        let body = match fault {
            _ if is_head => Ok(Bytes::new()),
            Fault::Truncate { told: true } => Err(BodyError::Broken(Causes::default())),
            Fault::Truncate { told: false } => Ok(bytes.slice(..bytes.len() / 2)),
            _ => Ok(bytes),
        };
        Ok(Received { status, headers, body })
    }
}

/// What a gateway or a captive page answers to everything.
fn page(is_head: bool) -> Received {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    let body = if is_head { Bytes::new() } else { Bytes::from_static(b"<html>please log in</html>") };
    Received { status: StatusCode::OK, headers, body: Ok(body) }
}

/// An answer that says nothing about what was asked.
fn failure(status: u16, retry_after: Option<u64>) -> Received {
    let mut headers = HeaderMap::new();
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let status = StatusCode::from_u16(status).unwrap();
    if status.is_redirection() {
        headers.insert(LOCATION, HeaderValue::from_static("https://elsewhere.test/"));
    }
    Received { status, headers, body: Ok(Bytes::from_static(b"<html>")) }
}
