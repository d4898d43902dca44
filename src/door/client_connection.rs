//! What the door knows of one client's connection: whether a request runs on it, and since when none does.
//!
//! pingora has limits for pieces of a head, and none for a whole one; none for an HTTP/1.1 connection between two requests,
//! and none for one that was told to be HTTP/2 and then says nothing. So the limits are kept beneath it, where every byte
//! passes: [`super::client_stream`] asks here whether a client is still to be waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use pingora_core::protocols::Digest;

/// How long a client's connection may be without a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionTimeouts {
    /// `limits.head_timeout`.
    pub head: Duration,
    /// `limits.idle_timeout`.
    pub idle: Duration,
}

/// Why a client is not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeoutCause {
    /// It did not come to a first request in time.
    Silent,
    /// The head of a later request did not end in time.
    SlowHead,
    /// No request came for too long.
    Idle,
}

impl TimeoutCause {
    /// As the metric calls it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::SlowHead => "slow_head",
            Self::Idle => "idle",
        }
    }
}

/// One client's connection.
#[derive(Debug)]
pub(super) struct ClientConnection {
    state: Mutex<State>,
    timeouts: ConnectionTimeouts,
    /// Whether it is to be closed: it makes room for another one, or its client was given up.
    is_ended: AtomicBool,
    /// The task that waits for bytes from the client.
    reader: AtomicWaker,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Requests that run.
    running: usize,
    /// Since when none does; at first since the connection was accepted.
    since: Instant,
    /// Whether there has been a request.
    has_served: bool,
    /// When the first byte of the next head came. HTTP/2 brings other things than heads, so there it stays empty.
    head_begun: Option<Instant>,
    is_http2: bool,
}

/// A request that runs on a connection. Dropping it says that it is over.
#[derive(Debug)]
pub(super) struct RunningRequest(Arc<ClientConnection>);

impl ClientConnection {
    /// One that was accepted now.
    pub(super) fn new(timeouts: ConnectionTimeouts) -> Self {
        let state =
            State { running: 0, since: Instant::now(), has_served: false, head_begun: None, is_http2: false };
        Self {
            state: Mutex::new(state),
            timeouts,
            is_ended: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }
    }

    /// The connection that a request came by.
    pub(super) fn of(digest: &Digest) -> Option<&Arc<Self>> {
        digest.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// A request begins.
    pub(super) fn begin_request(self: &Arc<Self>) -> RunningRequest {
        let mut state = self.lock();
        state.running += 1;
        state.has_served = true;
        state.head_begun = None;
        RunningRequest(Arc::clone(self))
    }

    /// Notes that it speaks HTTP/2.
    pub(super) fn set_http2(&self) {
        self.lock().is_http2 = true;
    }

    /// Notes that bytes came. Answers when to check again, if they begin a head.
    pub(super) fn note_received(&self) -> Option<Instant> {
        let mut state = self.lock();
        let begins = state.running == 0 && state.has_served && !state.is_http2 && state.head_begun.is_none();
        begins.then(|| {
            let now = Instant::now();
            state.head_begun = Some(now);
            now + self.timeouts.head
        })
    }

    /// When to check again, or why the client is not waited for any longer. `owes_reading` says that the client has yet to
    /// take what was sent, which has a limit of its own.
    pub(super) fn check(&self, owes_reading: bool, now: Instant) -> Result<Instant, TimeoutCause> {
        let state = *self.lock();
        state.check(self.timeouts, owes_reading, now)
    }

    /// Since when no request has run; nothing while one does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.running == 0).then_some(state.since)
    }

    /// Has it closed. Answers whether it was not to be closed before.
    pub(super) fn end(&self) -> bool {
        let is_new = !self.is_ended.swap(true, Ordering::AcqRel);
        self.reader.wake();
        is_new
    }

    /// Wakes this task when the connection is to be closed. Whether it is has to be asked afterwards, or it may be missed.
    pub(super) fn wake_when_ended(&self, context: &Context<'_>) {
        self.reader.register(context.waker());
    }

    /// Whether it is to be closed.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running -= 1;
        state.since = Instant::now();
        state.head_begun = None;
    }
}

impl State {
    fn check(
        &self,
        timeouts: ConnectionTimeouts,
        owes_reading: bool,
        now: Instant,
    ) -> Result<Instant, TimeoutCause> {
        let again = now + timeouts.head.min(timeouts.idle);
        if self.running > 0 {
            return Ok(again);
        }
        let (end, cause) = match self.head_begun {
            _ if !self.has_served => (self.since + timeouts.head, TimeoutCause::Silent),
            Some(begun) => (begun + timeouts.head, TimeoutCause::SlowHead),
            None => (self.since + timeouts.idle, TimeoutCause::Idle),
        };
        if now < end {
            // Another limit may have come into force meanwhile, and none is shorter than this.
            Ok(end.min(again))
        } else if owes_reading && cause == TimeoutCause::Idle {
            Ok(again)
        } else {
            Err(cause)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: ConnectionTimeouts =
        ConnectionTimeouts { head: Duration::from_secs(30), idle: Duration::from_secs(60) };

    fn state(now: Instant) -> State {
        State { running: 0, since: now, has_served: false, head_begun: None, is_http2: false }
    }

    #[test]
    fn a_connection_has_its_time_for_a_first_head_for_later_heads_and_for_nothing() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let first = state(now);
        let idle = State { has_served: true, ..first };
        let head = State { head_begun: Some(after(50)), ..idle };
        for (what, state, second, expected) in [
            ("a first head", first, 29, Ok(after(30))),
            ("a first head", first, 30, Err(TimeoutCause::Silent)),
            ("nothing", idle, 1, Ok(after(31))),
            ("nothing", idle, 59, Ok(after(60))),
            ("nothing", idle, 60, Err(TimeoutCause::Idle)),
            ("a later head", head, 79, Ok(after(80))),
            ("a later head", head, 80, Err(TimeoutCause::SlowHead)),
            ("a request", State { running: 1, ..first }, 1_000, Ok(after(1_030))),
        ] {
            assert_eq!(state.check(TIMEOUTS, false, after(second)), expected, "{what} at {second}");
        }
    }

    #[test]
    fn a_client_that_still_reads_is_not_idle_but_one_that_asks_for_nothing_is_silent() {
        let now = Instant::now();
        let late = now + Duration::from_secs(100);
        let idle = State { has_served: true, ..state(now) };
        assert!(idle.check(TIMEOUTS, true, late).is_ok());
        assert_eq!(state(now).check(TIMEOUTS, true, late), Err(TimeoutCause::Silent));
    }
}
