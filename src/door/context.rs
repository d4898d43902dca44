//! What the hooks of one request share.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::client_connection::RunningRequest;
use super::clock_retry::{ClockRetry, Presented};
use super::early_answer::EarlyAnswer;
use super::fair_queue::FairPermit;
use super::forward_target::ForwardTarget;
use super::request_limiter::InFlight;
use super::watchdog::{Stall, Watchdog};
use super::{AnswerOrigin, Exchange, ForwardedAuthorization, Refusal};
use crate::registry::{Backend, BackendKey, SentCredentials};

/// What the hooks of one request share.
pub struct Context {
    /// Boxed, since pingora moves the context about.
    pub(super) exchange: Option<Box<Exchange>>,
    /// The backends that took no connection.
    pub(super) tried: Vec<BackendKey>,
    /// The backend in use.
    pub(super) backend: Option<Arc<Backend>>,
    /// Where the request is forwarded to, if that is not as it came.
    pub(super) target: Option<ForwardTarget>,
    /// Ends an exchange with a body or a commit in which one side lets the other wait for too long.
    pub(super) watchdog: Option<Watchdog>,
    /// The door's own credentials, as the backend in use was sent them.
    pub(super) sent_credentials: Option<SentCredentials>,
    /// Whether the request is repeated because the registry's clock was another.
    pub(super) clock_retry: ClockRetry,
    /// The registry's final answer, if that came before the end of the request's body.
    pub(super) early_answer: Option<EarlyAnswer>,
    /// Why the exchange fails, if it was decided in the middle of forwarding.
    pub(super) refusal: Option<Refusal>,
    /// Whether pingora's error is no failure: the registry's answer has been passed on.
    pub(super) is_answered: bool,
    /// Who made the answer that the client was sent, as far as one was.
    pub(super) origin: AnswerOrigin,
    /// Since when the registry owes the beginning of an answer: the door turned to it, or the request's body ended.
    pub(super) asked: Option<Instant>,
    /// For the log: why it failed.
    pub(super) cause: Option<String>,
    /// Tells the client's connection that a request runs on it.
    pub(super) running_request: Option<RunningRequest>,
    /// Counts the request among those in flight.
    pub(super) in_flight: InFlight,
    /// Lets the request be at the registry, until that answers.
    pub(super) permit: Option<FairPermit>,
    /// Held until the exchange is over, so that stopping waits for it.
    _running: TaskTrackerToken,
}

impl Context {
    /// Before the request is read. The token tells that an exchange is running.
    pub(super) fn new(running: TaskTrackerToken) -> Self {
        Self {
            exchange: None,
            tried: Vec::new(),
            backend: None,
            target: None,
            watchdog: None,
            sent_credentials: None,
            clock_retry: ClockRetry::None,
            early_answer: None,
            refusal: None,
            is_answered: false,
            origin: AnswerOrigin::Door,
            asked: None,
            cause: None,
            running_request: None,
            in_flight: InFlight::default(),
            permit: None,
            _running: running,
        }
    }

    /// Who let the other wait for too long, if that ended the exchange.
    pub(super) fn stall(&self) -> Option<Stall> {
        self.watchdog.as_ref().and_then(Watchdog::stall)
    }

    /// The door's own credentials that the backend in use was sent, if any were and others may be tried.
    pub(super) fn presented(&self) -> Option<Presented<'_>> {
        if self.clock_retry == ClockRetry::Done {
            return None;
        }
        let ForwardedAuthorization::OfTheDoor(credentials) =
            &self.exchange.as_ref()?.forwarding.authorization
        else {
            return None;
        };
        let (backend, sent) = (self.backend.as_deref()?, self.sent_credentials.as_ref()?);
        Some(Presented { credentials, backend, sent })
    }
}
