//! What the hooks of one request share.

use std::sync::Arc;

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::early_answer::EarlyAnswer;
use super::presence::Running;
use super::repetition::Repetition;
use super::requests::InFlight;
use super::turns::Turn;
use super::watch::{Stall, Watch};
use super::{Exchange, Refusal};
use crate::registry::{Backend, BackendKey, Shown};

/// What the hooks of one request share.
pub struct Context {
    /// Boxed, since pingora moves the context about.
    pub(super) exchange: Option<Box<Exchange>>,
    /// The backends that took no connection.
    pub(super) tried: Vec<BackendKey>,
    /// The backend in use.
    pub(super) backend: Option<Arc<Backend>>,
    /// For an upload session: the backend that has it, and what it is asked for.
    pub(super) session: Option<UploadSession>,
    /// Who keeps whom waiting, for an exchange with a body or a commit that is at the registry.
    pub(super) watch: Option<Watch>,
    /// What the backend in use was shown by the door.
    pub(super) shown: Option<Shown>,
    /// Whether the request goes to the registry once more, and whether it has.
    pub(super) repetition: Repetition,
    /// The registry's final answer, if that came before the end of the request's body.
    pub(super) early_answer: Option<EarlyAnswer>,
    /// Why the exchange fails, if it was decided in the middle of forwarding.
    pub(super) refusal: Option<Refusal>,
    /// Whether pingora's error is no failure: the registry's answer has been passed on.
    pub(super) is_answered: bool,
    /// For the log: why it failed.
    pub(super) cause: Option<String>,
    /// Tells the client's connection that a request runs on it.
    pub(super) running: Option<Running>,
    /// The request's places among those in flight.
    pub(super) in_flight: InFlight,
    /// The request's turn at the registry, until that answers.
    pub(super) turn: Option<Turn>,
    /// Held until the exchange is over, so that stopping waits for it.
    _running: TaskTrackerToken,
}

/// How the request of an upload session goes on, where that is not as it came.
#[derive(Debug)]
pub(super) struct UploadSession {
    /// The backend that has it, if that is known.
    pub(super) backend: Option<Arc<Backend>>,
    /// What the backend is asked for.
    pub(super) path_and_query: String,
}

impl Context {
    /// Before the request is read. The token tells that an exchange is running.
    pub(super) fn new(running: TaskTrackerToken) -> Self {
        Self {
            exchange: None,
            tried: Vec::new(),
            backend: None,
            session: None,
            watch: None,
            shown: None,
            repetition: Repetition::None,
            early_answer: None,
            refusal: None,
            is_answered: false,
            cause: None,
            running: None,
            in_flight: InFlight::default(),
            turn: None,
            _running: running,
        }
    }
    /// Who let the other wait for too long, if that ended the exchange.
    pub(super) fn stall(&self) -> Option<Stall> {
        self.watch.as_ref().and_then(Watch::stall)
    }
}
