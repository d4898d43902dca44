//! What the door knows of one client's connection: whether a request runs on it, and since when none does.
//!
//! pingora has limits for pieces of a head, and none for a whole one; none for an HTTP/1.1 connection between two requests,
//! and none for one that was told to be HTTP/2 and then says nothing. So the limits are kept beneath it, where every byte
//! passes: [`super::client_stream`] asks here whether a connection is still to be waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use pingora_core::protocols::Digest;

use super::connections::Open;

/// How long a connection may be without a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// `limits.head_timeout`.
    pub head: Duration,
    /// `limits.idle_timeout`.
    pub idle: Duration,
}

/// Why a connection is not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// It did not come to a first request in time.
    Silent,
    /// The head of a later request did not end in time.
    SlowHead,
    /// No request came for too long.
    Idle,
}

impl Overdue {
    /// As the metric calls it.
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::SlowHead => "slow_head",
            Self::Idle => "idle",
        }
    }
}

/// One client's connection, as long as it is open.
#[derive(Debug)]
pub(super) struct Presence {
    state: Mutex<State>,
    patience: Patience,
    /// Whether it has to make room for another one.
    displaced: AtomicBool,
    /// Who waits for bytes from the client.
    waiting: AtomicWaker,
    /// Its entry among all connections, which ends with it.
    open: Open,
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

/// A request runs. Dropping it says that it is over.
#[derive(Debug)]
pub(super) struct Running(Arc<Presence>);

impl Presence {
    /// One that was accepted now.
    pub fn new(patience: Patience, open: Open) -> Self {
        let state =
            State { running: 0, since: Instant::now(), has_served: false, head_begun: None, is_http2: false };
        Self {
            state: Mutex::new(state),
            patience,
            displaced: AtomicBool::new(false),
            waiting: AtomicWaker::new(),
            open,
        }
    }

    /// The connection that a request came by.
    pub fn of(digest: &Digest) -> Option<&Arc<Self>> {
        digest.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// A request begins.
    pub fn run(self: &Arc<Self>) -> Running {
        let mut state = self.lock();
        state.running += 1;
        state.has_served = true;
        state.head_begun = None;
        Running(Arc::clone(self))
    }

    /// It speaks HTTP/2.
    pub fn is_http2(&self) {
        self.lock().is_http2 = true;
    }

    /// Bytes came. Says when to look again, if that is the beginning of a head.
    pub fn received(&self) -> Option<Instant> {
        let mut state = self.lock();
        let begins = state.running == 0 && state.has_served && !state.is_http2 && state.head_begun.is_none();
        begins.then(|| {
            let now = Instant::now();
            state.head_begun = Some(now);
            now + self.patience.head
        })
    }

    /// When to look again, or why it is not waited for any longer. `owes_reading` says that the client has yet to take what
    /// was sent, which has a limit of its own.
    pub fn judge(&self, owes_reading: bool, now: Instant) -> Result<Instant, Overdue> {
        let state = *self.lock();
        state.judge(self.patience, owes_reading, now)
    }

    /// Since when no request has run; nothing while one does.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.running == 0).then_some(state.since)
    }

    /// Has it end, to make room for another one. Says whether it was not told so before.
    pub fn displace(&self) -> bool {
        let is_new = !self.displaced.swap(true, Ordering::AcqRel);
        self.waiting.wake();
        is_new
    }

    /// Wakes this task when it has to end. Whether it has to is asked afterwards, or it may be missed.
    pub fn wake_when_displaced(&self, context: &Context<'_>) {
        self.waiting.register(context.waker());
    }

    /// Whether it was told to end.
    pub fn has_ended(&self) -> bool {
        self.displaced.load(Ordering::Acquire)
    }

    /// Its entry among all connections.
    pub fn open(&self) -> &Open {
        &self.open
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running -= 1;
        state.since = Instant::now();
        state.head_begun = None;
    }
}

impl State {
    fn judge(&self, patience: Patience, owes_reading: bool, now: Instant) -> Result<Instant, Overdue> {
        let again = now + patience.head.min(patience.idle);
        if self.running > 0 {
            return Ok(again);
        }
        let (end, overdue) = match self.head_begun {
            _ if !self.has_served => (self.since + patience.head, Overdue::Silent),
            Some(begun) => (begun + patience.head, Overdue::SlowHead),
            None => (self.since + patience.idle, Overdue::Idle),
        };
        if now < end {
            // Another limit may have come into force meanwhile, and none is shorter than this.
            Ok(end.min(again))
        } else if owes_reading && overdue == Overdue::Idle {
            Ok(again)
        } else {
            Err(overdue)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_secs(30), idle: Duration::from_secs(60) };

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
            ("a first head", first, 30, Err(Overdue::Silent)),
            ("nothing", idle, 1, Ok(after(31))),
            ("nothing", idle, 59, Ok(after(60))),
            ("nothing", idle, 60, Err(Overdue::Idle)),
            ("a later head", head, 79, Ok(after(80))),
            ("a later head", head, 80, Err(Overdue::SlowHead)),
            ("a request", State { running: 1, ..first }, 1_000, Ok(after(1_030))),
        ] {
            assert_eq!(state.judge(PATIENCE, false, after(second)), expected, "{what} at {second}");
        }
    }

    #[test]
    fn a_client_that_still_reads_is_not_idle_but_one_that_asks_for_nothing_is_silent() {
        let now = Instant::now();
        let late = now + Duration::from_secs(100);
        let idle = State { has_served: true, ..state(now) };
        assert!(idle.judge(PATIENCE, true, late).is_ok());
        assert_eq!(state(now).judge(PATIENCE, true, late), Err(Overdue::Silent));
    }
}
