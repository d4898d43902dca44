//! Whose turn it is in an exchange with a body or a commit, and who has let the other wait for too long.
//!
//! The registry's clock does not run while the client is to send, and the client's does not while the registry takes
//! nothing. pingora's timers run in both cases, so they are off for these exchanges: this watch looks at what moved last,
//! and ends the connection to the registry when a limit is reached. pingora then fails the exchange, and the door's
//! answer says whose fault it was.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::line::Line;
use super::{Refusal, RequestLimits};
use crate::oci::ErrorCode;
use crate::registry::{Awaited, Backend, Exhausted, Patience, Since};

/// How long either side may let the other wait, and how many requests there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `listen.client_timeout`.
    pub client_timeout: Duration,
    /// `limits.head_timeout`.
    pub head_timeout: Duration,
    /// `limits.idle_timeout`.
    pub idle_timeout: Duration,
    /// `limits.requests` and `limits.requests_per_address`.
    pub requests: RequestLimits,
    /// `registry.timeout` and `registry.commit_timeout`.
    pub patience: Patience,
}

/// Who let the other wait for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// The client, within its request's body.
    Client(Duration),
    /// The client, by sending a body too slowly that the door reads itself.
    Slow(Duration),
    /// The client, by reading nothing of the answer.
    Reader(Duration),
    /// The registry.
    Registry(Exhausted),
}

impl fmt::Display for Stall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(limit) => {
                let limit = humantime::format_duration(*limit);
                write!(
                    formatter,
                    "the client sent nothing of its request's body for {limit} (listen.client_timeout)"
                )
            }
            Self::Slow(limit) => {
                let limit = humantime::format_duration(*limit);
                write!(
                    formatter,
                    "the client's request's body fell {limit} (limits.head_timeout) behind 1 KiB a second"
                )
            }
            Self::Reader(limit) => {
                let limit = humantime::format_duration(*limit);
                write!(formatter, "the client read nothing of the answer for {limit} (listen.client_timeout)")
            }
            Self::Registry(exhausted) => write!(formatter, "{exhausted}"),
        }
    }
}

impl Stall {
    /// What the client is told.
    pub fn refusal(self) -> Refusal {
        let (code, status, message) = match self {
            Self::Reader(_) => (
                ErrorCode::Unknown,
                StatusCode::REQUEST_TIMEOUT,
                "the client read nothing of the answer for too long",
            ),
            Self::Client(_) => (
                ErrorCode::BlobUploadInvalid,
                StatusCode::REQUEST_TIMEOUT,
                "the client sent nothing of its request's body for too long",
            ),
            Self::Slow(_) => (
                ErrorCode::BlobUploadInvalid,
                StatusCode::REQUEST_TIMEOUT,
                "the client sent its request's body too slowly",
            ),
            Self::Registry(Exhausted::Silent(_)) => {
                (ErrorCode::Unavailable, StatusCode::GATEWAY_TIMEOUT, "the registry did not answer in time")
            }
            Self::Registry(Exhausted::Unfinished(_)) => (
                ErrorCode::Unavailable,
                StatusCode::GATEWAY_TIMEOUT,
                "the registry answers, but did not finish this request in time",
            ),
            Self::Registry(Exhausted::Lifeless(_)) => (
                ErrorCode::Unavailable,
                StatusCode::GATEWAY_TIMEOUT,
                "the registry did not finish this request and shows no sign of life",
            ),
        };
        Refusal::new(code, message).with_status(status).because(self.to_string())
    }

    /// Counts it, once.
    pub fn count(self) {
        let (by, cause) = match self {
            Self::Client(_) => ("client", "silent"),
            Self::Slow(_) => ("client", "slow"),
            Self::Reader(_) => ("client", "not_reading"),
            Self::Registry(Exhausted::Silent(_)) => ("registry", "silent"),
            Self::Registry(Exhausted::Unfinished(_)) => ("registry", "unfinished"),
            Self::Registry(Exhausted::Lifeless(_)) => ("registry", "lifeless"),
        };
        metrics::counter!("portreeve_stalls_total", "by" => by, "cause" => cause).increment(1);
    }
}

/// What the client still owes of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// It waits to be asked for its body (RFC 9110 section 10.1.1).
    Asked,
    /// More of its body.
    Body,
    /// Nothing.
    Nothing,
}

/// Watches one exchange on one connection. Dropping it ends the watching.
pub(super) struct Watch {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when a nearer end than before may have come into view.
    turned: Notify,
    limits: Limits,
    backend: Arc<Backend>,
    line: Weak<Line>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    owed: Owed,
    awaited: Awaited,
    since: Since,
    answering: bool,
    stall: Option<Stall>,
}

impl Watch {
    /// Begins to watch. To be called within the runtime of the exchange.
    pub fn begin(
        limits: Limits,
        awaited: Awaited,
        owed: Owed,
        backend: Arc<Backend>,
        line: Weak<Line>,
    ) -> Self {
        let state = State { owed, awaited, since: Since::now(), answering: false, stall: None };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), turned: Notify::new(), limits, backend, line });
        let task = tokio::spawn(Arc::clone(&shared).run());
        Self { shared, _task: AbortOnDropHandle::new(task) }
    }

    /// A piece of the request's body came, or its end.
    pub fn client_sent(&self, is_end: bool) {
        let mut state = self.shared.lock();
        if !state.answering {
            state.since = Since::now();
        }
        let owed = if is_end { Owed::Nothing } else { Owed::Body };
        let has_turned = state.owed != owed;
        state.owed = owed;
        drop(state);
        if has_turned {
            self.shared.turned.notify_one();
        }
    }

    /// The registry sent an interim answer.
    pub fn registry_lives(&self) {
        let mut state = self.shared.lock();
        state.since.moved = Instant::now();
        // Whatever it says, a client need not wait for more.
        if state.owed == Owed::Asked {
            state.owed = Owed::Body;
        }
        drop(state);
        self.shared.turned.notify_one();
    }

    /// The registry sent the head of its answer, or a piece of it.
    pub fn registry_answers(&self) {
        let mut state = self.shared.lock();
        state.since.moved = Instant::now();
        let has_turned = !state.answering;
        state.answering = true;
        state.awaited = Awaited::Answer;
        drop(state);
        if has_turned {
            self.shared.turned.notify_one();
        }
    }

    /// Who let the other wait for too long, if that ended the exchange.
    pub fn stall(&self) -> Option<Stall> {
        self.shared.lock().stall
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        loop {
            let judged = {
                let mut state = self.lock();
                let takes_bytes = || self.line.upgrade().is_none_or(|line| line.takes_bytes());
                let judged = state.judge(&self.limits, self.backend.answered(), takes_bytes, Instant::now());
                state.stall = judged.err();
                judged
            };
            match judged {
                Ok(until) => tokio::select! {
                    () = self.turned.notified() => {}
                    () = tokio::time::sleep_until(until.into()) => {}
                },
                Err(stall) => {
                    stall.count();
                    if let Some(line) = self.line.upgrade() {
                        line.end();
                    }
                    return;
                }
            }
        }
    }
}

impl State {
    /// When to look again, or who has let the other wait for too long. Pure.
    fn judge(
        &self,
        limits: &Limits,
        answered: Option<Instant>,
        registry_takes_bytes: impl Fn() -> bool,
        now: Instant,
    ) -> Result<Instant, Stall> {
        let clients_end = self.since.moved + limits.client_timeout;
        let registrys = limits.patience.judge(self.awaited, self.since, answered, now);
        match self.owed {
            Owed::Asked | Owed::Nothing => registrys.map_err(Stall::Registry),
            // The rest of its answer is all that is still waited for: the exchange ends with that.
            Owed::Body if self.answering => registrys.map_err(Stall::Registry),
            Owed::Body => match registrys {
                Ok(until) if now < clients_end => Ok(until.min(clients_end)),
                // One of the two is at its end: whose turn is it?
                Ok(until) => {
                    if registry_takes_bytes() {
                        Err(Stall::Client(limits.client_timeout))
                    } else {
                        Ok(until)
                    }
                }
                Err(exhausted) => {
                    if !registry_takes_bytes() {
                        Err(Stall::Registry(exhausted))
                    } else if now < clients_end {
                        Ok(clients_end)
                    } else {
                        Err(Stall::Client(limits.client_timeout))
                    }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        client_timeout: Duration::from_secs(300),
        head_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(60),
        requests: RequestLimits { all: 1, per_address: 1 },
        patience: Patience { timeout: Duration::from_secs(30), commit_timeout: Duration::from_secs(900) },
    };

    /// What is judged so many seconds after something moved last; `Ok` with the second of the next look.
    fn judge(
        owed: Owed,
        awaited: Awaited,
        takes_bytes: bool,
        limits: &Limits,
        now: u64,
    ) -> Result<u64, Stall> {
        let since = Since::now();
        let state = State { owed, awaited, since, answering: false, stall: None };
        let now = since.moved + Duration::from_secs(now);
        let judged = state.judge(limits, None, || takes_bytes, now);
        judged.map(|until| until.duration_since(since.moved).as_secs())
    }

    const SILENT: Stall = Stall::Registry(Exhausted::Silent(Duration::from_secs(30)));

    #[test]
    fn the_registrys_clock_does_not_run_while_the_client_is_to_send() {
        assert_eq!(judge(Owed::Body, Awaited::Answer, true, &LIMITS, 40), Ok(300));
        assert_eq!(
            judge(Owed::Body, Awaited::Answer, true, &LIMITS, 300),
            Err(Stall::Client(LIMITS.client_timeout))
        );
        assert_eq!(judge(Owed::Body, Awaited::Commit, true, &LIMITS, 40), Ok(300));
    }

    #[test]
    fn the_clients_clock_does_not_run_while_the_registry_takes_nothing() {
        assert_eq!(judge(Owed::Body, Awaited::Answer, false, &LIMITS, 29), Ok(30));
        assert_eq!(judge(Owed::Body, Awaited::Answer, false, &LIMITS, 30), Err(SILENT));
        let hasty = Limits { client_timeout: Duration::from_secs(10), ..LIMITS };
        assert_eq!(judge(Owed::Body, Awaited::Answer, false, &hasty, 10), Ok(30));
        assert_eq!(judge(Owed::Body, Awaited::Answer, false, &hasty, 30), Err(SILENT));
    }

    #[test]
    fn a_registry_that_has_begun_to_answer_owes_the_rest_though_the_client_owes_body() {
        for owed in [Owed::Nothing, Owed::Asked, Owed::Body] {
            let since = Since::now();
            let state = State { owed, awaited: Awaited::Answer, since, answering: true, stall: None };
            for takes_bytes in [false, true] {
                let judge = |seconds| {
                    state.judge(&LIMITS, None, || takes_bytes, since.moved + Duration::from_secs(seconds))
                };
                assert_eq!(judge(29), Ok(since.moved + Duration::from_secs(30)));
                assert_eq!(judge(30), Err(SILENT));
            }
        }
    }

    #[test]
    fn a_client_that_owes_nothing_or_waits_to_be_asked_waits_for_the_registry() {
        for owed in [Owed::Nothing, Owed::Asked] {
            assert_eq!(judge(owed, Awaited::Answer, true, &LIMITS, 29), Ok(30));
            assert_eq!(judge(owed, Awaited::Answer, true, &LIMITS, 30), Err(SILENT));
        }
    }
}
