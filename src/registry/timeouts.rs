//! How long the registry may take before the door gives up on it.
//!
//! A question has `registry.timeout`. A commit (the request that ends an upload, a manifest write) may keep a registry
//! busy for minutes: it copies and hashes gigabytes. It has `registry.commit_timeout`, as long as the backend shows signs
//! of life: its connection is open, an interim answer (1xx) came on it, or the backend answers its health probe. A
//! backend without any for a little more than `registry.timeout` is dead, whatever the longer limit says.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Backend;

/// How long a health probe waits, unless `registry.timeout` is shorter.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The answer to a question, or the next piece of a transfer.
    Answer,
    /// The answer to a commit.
    Commit,
}

/// `registry.timeout` and `registry.commit_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryTimeouts {
    /// For an answer to begin or a transfer to move on; without signs of life also for a commit.
    pub timeout: Duration,
    /// For the answer to a commit.
    pub commit_timeout: Duration,
}

/// Why the door gave up on the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedOut {
    /// The registry was silent for so long.
    Silent(Duration),
    /// The registry did not finish a commit within so long, though it answered otherwise.
    Unfinished(Duration),
    /// The registry was at a commit, and showed no sign of life for so long.
    Lifeless(Duration),
}

impl TimedOut {
    /// How long the door waited.
    pub const fn limit(self) -> Duration {
        match self {
            Self::Silent(limit) | Self::Unfinished(limit) | Self::Lifeless(limit) => limit,
        }
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = humantime::format_duration(self.limit());
        match self {
            Self::Silent(_) => write!(formatter, "the registry was silent for {limit} (registry.timeout)"),
            Self::Unfinished(_) => {
                write!(formatter, "the registry did not finish within {limit} (registry.commit_timeout)")
            }
            Self::Lifeless(_) => write!(formatter, "the registry showed no sign of life for {limit}"),
        }
    }
}

/// Activity when the door waits for the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Activity when the registry has been asked.
    pub started: Instant,
    /// When something moved last on this connection, not before `started`.
    pub moved: Instant,
}

impl Activity {
    /// Everything begins now.
    pub fn now() -> Self {
        let now = Instant::now();
        Self { started: now, moved: now }
    }
}

impl RegistryTimeouts {
    /// When to check again, or that the door is to give up. `last_probe_answer` is when the backend last answered its probe.
    /// Pure.
    pub fn check(
        &self,
        awaited: Awaited,
        since: Activity,
        last_probe_answer: Option<Instant>,
        now: Instant,
    ) -> Result<Instant, TimedOut> {
        let Self { timeout, commit_timeout } = *self;
        match awaited {
            Awaited::Answer => {
                let until = since.moved + timeout;
                if now < until { Ok(until) } else { Err(TimedOut::Silent(timeout)) }
            }
            Awaited::Commit => {
                let end = since.started + commit_timeout;
                // Between the answers to two probes lie their interval and the longest that one may take.
                let lifeless = timeout + (timeout / 2).min(PROBE_TIMEOUT);
                let sign_of_life = last_probe_answer.map_or(since.moved, |answer| answer.max(since.moved));
                let until = sign_of_life + lifeless;
                if now >= end {
                    Err(TimedOut::Unfinished(commit_timeout))
                } else if now >= until {
                    Err(TimedOut::Lifeless(lifeless))
                } else {
                    Ok(until.min(end))
                }
            }
        }
    }

    /// Waits until the door is to give up on this backend with a commit that begins now. Dropping the future changes nothing.
    pub(super) async fn expired(self, backend: Arc<Backend>) -> TimedOut {
        let since = Activity::now();
        loop {
            match self.check(Awaited::Commit, since, backend.last_probe_answer(), Instant::now()) {
                Ok(until) => tokio::time::sleep_until(until.into()).await,
                Err(timed_out) => return timed_out,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: RegistryTimeouts =
        RegistryTimeouts { timeout: Duration::from_secs(30), commit_timeout: Duration::from_secs(900) };

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn check(awaited: Awaited, moved: u64, answered: Option<u64>, now: u64) -> Result<u64, TimedOut> {
        let start = Instant::now();
        let since = Activity { started: start, moved: start + seconds(moved) };
        let answered = answered.map(|answered| start + seconds(answered));
        let checked = TIMEOUTS.check(awaited, since, answered, start + seconds(now));
        checked.map(|until| until.duration_since(start).as_secs())
    }

    #[test]
    fn a_question_ends_when_nothing_has_moved_for_the_timeout() {
        assert_eq!(check(Awaited::Answer, 0, Some(29), 29), Ok(30));
        assert_eq!(check(Awaited::Answer, 0, Some(29), 30), Err(TimedOut::Silent(seconds(30))));
        assert_eq!(check(Awaited::Answer, 20, None, 30), Ok(50));
    }

    #[test]
    fn a_commit_goes_on_while_the_backend_answers_its_probe() {
        assert_eq!(check(Awaited::Commit, 0, Some(60), 61), Ok(95));
        assert_eq!(check(Awaited::Commit, 0, Some(890), 899), Ok(900));
        assert_eq!(check(Awaited::Commit, 0, Some(899), 900), Err(TimedOut::Unfinished(seconds(900))));
    }

    #[test]
    fn an_interim_answer_is_a_sign_of_life_but_no_answer() {
        assert_eq!(check(Awaited::Commit, 60, None, 61), Ok(95));
        assert_eq!(check(Awaited::Commit, 899, None, 900), Err(TimedOut::Unfinished(seconds(900))));
    }

    #[test]
    fn a_commit_at_a_dead_backend_ends_soon_after_the_timeout() {
        assert_eq!(check(Awaited::Commit, 0, None, 34), Ok(35));
        assert_eq!(check(Awaited::Commit, 0, None, 35), Err(TimedOut::Lifeless(seconds(35))));
        assert_eq!(check(Awaited::Commit, 0, Some(100), 135), Err(TimedOut::Lifeless(seconds(35))));
    }
}
