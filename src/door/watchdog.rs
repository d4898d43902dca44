//! Ends an exchange with a body or a commit in which the client or the registry lets the other wait for too long.
//!
//! The registry's time does not run while the client is to send, and the client's does not while the registry takes
//! nothing. pingora's timers run in both cases, so they are off for these exchanges: the watchdog looks at what moved last,
//! and closes the connection to the registry when a limit is reached. pingora then fails the exchange, and the door's
//! answer says whose fault it was.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::upstream_connection::UpstreamConnection;
use super::{Limits, Refusal};
use crate::oci::ErrorCode;
use crate::registry::{Activity, Awaited, Backend, TimedOut};
use crate::telemetry::CounterFamily;

pub(super) static STALLS: CounterFamily = CounterFamily {
    name: "portreeve_stalls_total",
    help: "Exchanges that ended because one side let the other wait for too long, by side and cause",
    labels: &[
        ("by", &["client", "registry"]),
        ("cause", &["silent", "slow", "not_reading", "unfinished", "lifeless"]),
    ],
};

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
    Registry(TimedOut),
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
            Self::Registry(timed_out) => write!(formatter, "{timed_out}"),
        }
    }
}

impl Stall {
    /// What the client is told.
    pub(super) fn refusal(self) -> Refusal {
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
            Self::Registry(TimedOut::Silent(_)) => {
                (ErrorCode::Unavailable, StatusCode::GATEWAY_TIMEOUT, "the registry did not answer in time")
            }
            Self::Registry(TimedOut::Unfinished(_)) => (
                ErrorCode::Unavailable,
                StatusCode::GATEWAY_TIMEOUT,
                "the registry answers, but did not finish this request in time",
            ),
            Self::Registry(TimedOut::Lifeless(_)) => (
                ErrorCode::Unavailable,
                StatusCode::GATEWAY_TIMEOUT,
                "the registry did not finish this request and shows no sign of life",
            ),
        };
        Refusal::new(code, message).with_status(status).because(self.to_string())
    }

    /// Counts it, once.
    pub(super) fn count(self) {
        let (by, cause) = match self {
            Self::Client(_) => ("client", "silent"),
            Self::Slow(_) => ("client", "slow"),
            Self::Reader(_) => ("client", "not_reading"),
            Self::Registry(TimedOut::Silent(_)) => ("registry", "silent"),
            Self::Registry(TimedOut::Unfinished(_)) => ("registry", "unfinished"),
            Self::Registry(TimedOut::Lifeless(_)) => ("registry", "lifeless"),
        };
        STALLS.with([by, cause]).increment(1);
    }
}

/// How far the client is with the body of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyState {
    /// The client waits for `100 Continue` (RFC 9110 section 10.1.1).
    AwaitsContinue,
    /// There is more to come.
    Unfinished,
    /// It is complete.
    Complete,
}

/// Watches one exchange on one connection. Dropping it ends the watching.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when the next deadline may be nearer than before.
    changed: Notify,
    limits: Limits,
    backend: Arc<Backend>,
    connection: Weak<UpstreamConnection>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    body: BodyState,
    awaited: Awaited,
    since: Activity,
    answering: bool,
    stall: Option<Stall>,
}

impl Watchdog {
    /// Begins to watch. To be called within the runtime of the exchange.
    pub(super) fn start(
        limits: Limits,
        awaited: Awaited,
        body: BodyState,
        backend: Arc<Backend>,
        connection: Weak<UpstreamConnection>,
    ) -> Self {
        let state = State { body, awaited, since: Activity::now(), answering: false, stall: None };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
            limits,
            backend,
            connection,
        });
        let task = tokio::spawn(Arc::clone(&shared).run());
        Self { shared, _task: AbortOnDropHandle::new(task) }
    }

    /// Notes that a piece of the request's body came, or its end.
    pub(super) fn note_client_sent(&self, is_end: bool) {
        let mut state = self.shared.lock();
        if !state.answering {
            state.since = Activity::now();
        }
        let body = if is_end { BodyState::Complete } else { BodyState::Unfinished };
        let has_changed = state.body != body;
        state.body = body;
        drop(state);
        if has_changed {
            self.shared.changed.notify_one();
        }
    }

    /// Notes that the registry sent an interim answer.
    pub(super) fn note_interim_answer(&self) {
        let mut state = self.shared.lock();
        state.since.moved = Instant::now();
        // Whatever it says, the client need not wait for more.
        if state.body == BodyState::AwaitsContinue {
            state.body = BodyState::Unfinished;
        }
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Notes that the registry sent the head of its answer, or a piece of it.
    pub(super) fn note_answer(&self) {
        let mut state = self.shared.lock();
        state.since.moved = Instant::now();
        let has_changed = !state.answering;
        state.answering = true;
        state.awaited = Awaited::Answer;
        drop(state);
        if has_changed {
            self.shared.changed.notify_one();
        }
    }

    /// Who let the other wait for too long, if that ended the exchange.
    pub(super) fn stall(&self) -> Option<Stall> {
        self.shared.lock().stall
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        loop {
            let checked = {
                let mut state = self.lock();
                let is_writable =
                    || self.connection.upgrade().is_none_or(|connection| connection.is_writable());
                let checked =
                    state.check(&self.limits, self.backend.last_probe_answer(), is_writable, Instant::now());
                state.stall = checked.err();
                checked
            };
            match checked {
                Ok(until) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(until.into()) => {}
                },
                Err(stall) => {
                    stall.count();
                    if let Some(connection) = self.connection.upgrade() {
                        connection.close();
                    }
                    return;
                }
            }
        }
    }
}

impl State {
    /// When to check again, or who has let the other wait for too long. Pure.
    fn check(
        &self,
        limits: &Limits,
        answered: Option<Instant>,
        is_registry_writable: impl Fn() -> bool,
        now: Instant,
    ) -> Result<Instant, Stall> {
        let client_deadline = self.since.moved + limits.client_timeout;
        let registry = limits.registry.check(self.awaited, self.since, answered, now);
        match self.body {
            BodyState::AwaitsContinue | BodyState::Complete => registry.map_err(Stall::Registry),
            // The rest of its answer is all that is still waited for: the exchange ends with that.
            BodyState::Unfinished if self.answering => registry.map_err(Stall::Registry),
            BodyState::Unfinished => match registry {
                Ok(until) if now < client_deadline => Ok(until.min(client_deadline)),
                // One of the two has reached its limit: is it the one that the other waits for?
                Ok(until) => {
                    if is_registry_writable() {
                        Err(Stall::Client(limits.client_timeout))
                    } else {
                        Ok(until)
                    }
                }
                Err(timed_out) => {
                    if !is_registry_writable() {
                        Err(Stall::Registry(timed_out))
                    } else if now < client_deadline {
                        Ok(client_deadline)
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
    use super::super::RequestLimits;
    use super::*;
    use crate::registry::RegistryTimeouts;

    const LIMITS: Limits = Limits {
        client_timeout: Duration::from_secs(300),
        head_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(60),
        requests: RequestLimits { all: 1, per_address: 1 },
        registry: RegistryTimeouts {
            timeout: Duration::from_secs(30),
            commit_timeout: Duration::from_secs(900),
        },
    };

    /// What a check says so many seconds after something moved last; `Ok` with the second of the next one.
    fn check(
        body: BodyState,
        awaited: Awaited,
        is_writable: bool,
        limits: &Limits,
        now: u64,
    ) -> Result<u64, Stall> {
        let since = Activity::now();
        let state = State { body, awaited, since, answering: false, stall: None };
        let now = since.moved + Duration::from_secs(now);
        let checked = state.check(limits, None, || is_writable, now);
        checked.map(|until| until.duration_since(since.moved).as_secs())
    }

    const SILENT: Stall = Stall::Registry(TimedOut::Silent(Duration::from_secs(30)));

    #[test]
    fn the_registrys_clock_does_not_run_while_the_client_is_to_send() {
        assert_eq!(check(BodyState::Unfinished, Awaited::Answer, true, &LIMITS, 40), Ok(300));
        assert_eq!(
            check(BodyState::Unfinished, Awaited::Answer, true, &LIMITS, 300),
            Err(Stall::Client(LIMITS.client_timeout))
        );
        assert_eq!(check(BodyState::Unfinished, Awaited::Commit, true, &LIMITS, 40), Ok(300));
    }

    #[test]
    fn the_clients_clock_does_not_run_while_the_registry_takes_nothing() {
        assert_eq!(check(BodyState::Unfinished, Awaited::Answer, false, &LIMITS, 29), Ok(30));
        assert_eq!(check(BodyState::Unfinished, Awaited::Answer, false, &LIMITS, 30), Err(SILENT));
        let hasty = Limits { client_timeout: Duration::from_secs(10), ..LIMITS };
        assert_eq!(check(BodyState::Unfinished, Awaited::Answer, false, &hasty, 10), Ok(30));
        assert_eq!(check(BodyState::Unfinished, Awaited::Answer, false, &hasty, 30), Err(SILENT));
    }

    #[test]
    fn a_registry_that_has_begun_to_answer_owes_the_rest_though_the_client_owes_body() {
        for body in [BodyState::Complete, BodyState::AwaitsContinue, BodyState::Unfinished] {
            let since = Activity::now();
            let state = State { body, awaited: Awaited::Answer, since, answering: true, stall: None };
            for is_writable in [false, true] {
                let check = |seconds| {
                    state.check(&LIMITS, None, || is_writable, since.moved + Duration::from_secs(seconds))
                };
                assert_eq!(check(29), Ok(since.moved + Duration::from_secs(30)));
                assert_eq!(check(30), Err(SILENT));
            }
        }
    }

    #[test]
    fn a_client_that_owes_nothing_or_waits_to_be_asked_waits_for_the_registry() {
        for body in [BodyState::Complete, BodyState::AwaitsContinue] {
            assert_eq!(check(body, Awaited::Answer, true, &LIMITS, 29), Ok(30));
            assert_eq!(check(body, Awaited::Answer, true, &LIMITS, 30), Err(SILENT));
        }
    }
}
