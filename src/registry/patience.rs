//! How long the registry may be silent before it is given up.
//!
//! A question has `registry.timeout`. A commit (the request that ends an upload, a manifest write) may keep a registry
//! busy for minutes: it copies and hashes gigabytes. It has `registry.commit_timeout`, as long as the backend shows signs
//! of life: its connection is open, an interim answer (1xx) came on it, or the backend answers its health probe. A
//! backend without any for a little more than `registry.timeout` is dead, whatever the longer limit says.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Backend;
use super::health::PROBE_LIMIT;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The answer to a question, or that a transfer moves on.
    Answer,
    /// The answer to a commit.
    Commit,
}

/// How long the registry may be silent: `registry.timeout` and `registry.commit_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For an answer to begin or a transfer to move on; without signs of life also for a commit.
    pub timeout: Duration,
    /// For the answer to a commit.
    pub commit_timeout: Duration,
}

/// Why the registry was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// It was silent for so long.
    Silent(Duration),
    /// It did not finish a commit within so long, though it answered otherwise.
    Unfinished(Duration),
    /// It was at a commit, and there was no sign of life for so long.
    Lifeless(Duration),
}

impl Exhausted {
    /// How long it was waited for.
    pub const fn limit(self) -> Duration {
        match self {
            Self::Silent(limit) | Self::Unfinished(limit) | Self::Lifeless(limit) => limit,
        }
    }
}

impl fmt::Display for Exhausted {
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

/// Since when something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// When it became the registry's turn.
    pub turn: Instant,
    /// When something moved last on this connection, not before `turn`.
    pub moved: Instant,
}

impl Since {
    /// Everything begins now.
    pub fn now() -> Self {
        let now = Instant::now();
        Self { turn: now, moved: now }
    }
}

impl Patience {
    /// When to look again, or that the registry is to be given up. `answered` is when the backend last answered its
    /// probe. Pure.
    pub fn judge(
        &self,
        awaited: Awaited,
        since: Since,
        answered: Option<Instant>,
        now: Instant,
    ) -> Result<Instant, Exhausted> {
        let Self { timeout, commit_timeout } = *self;
        match awaited {
            Awaited::Answer => {
                let until = since.moved + timeout;
                if now < until { Ok(until) } else { Err(Exhausted::Silent(timeout)) }
            }
            Awaited::Commit => {
                let end = since.turn + commit_timeout;
                // Between two answers to probes lie their pace and the longest that one may take.
                let lifeless = timeout + (timeout / 2).min(PROBE_LIMIT);
                let sign = answered.map_or(since.moved, |answered| answered.max(since.moved));
                let until = sign + lifeless;
                if now >= end {
                    Err(Exhausted::Unfinished(commit_timeout))
                } else if now >= until {
                    Err(Exhausted::Lifeless(lifeless))
                } else {
                    Ok(until.min(end))
                }
            }
        }
    }

    /// Waits until this backend is to be given up with a commit that begins now. Dropping the future changes nothing.
    pub(super) async fn run_out(self, backend: Arc<Backend>) -> Exhausted {
        let since = Since::now();
        loop {
            match self.judge(Awaited::Commit, since, backend.answered(), Instant::now()) {
                Ok(until) => tokio::time::sleep_until(until.into()).await,
                Err(exhausted) => return exhausted,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { timeout: Duration::from_secs(30), commit_timeout: Duration::from_secs(900) };

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn judge(awaited: Awaited, moved: u64, answered: Option<u64>, now: u64) -> Result<u64, Exhausted> {
        let start = Instant::now();
        let since = Since { turn: start, moved: start + seconds(moved) };
        let answered = answered.map(|answered| start + seconds(answered));
        let judged = PATIENCE.judge(awaited, since, answered, start + seconds(now));
        judged.map(|until| until.duration_since(start).as_secs())
    }

    #[test]
    fn a_question_ends_when_nothing_has_moved_for_the_timeout() {
        assert_eq!(judge(Awaited::Answer, 0, Some(29), 29), Ok(30));
        assert_eq!(judge(Awaited::Answer, 0, Some(29), 30), Err(Exhausted::Silent(seconds(30))));
        assert_eq!(judge(Awaited::Answer, 20, None, 30), Ok(50));
    }

    #[test]
    fn a_commit_goes_on_while_the_backend_answers_its_probe() {
        assert_eq!(judge(Awaited::Commit, 0, Some(60), 61), Ok(95));
        assert_eq!(judge(Awaited::Commit, 0, Some(890), 899), Ok(900));
        assert_eq!(judge(Awaited::Commit, 0, Some(899), 900), Err(Exhausted::Unfinished(seconds(900))));
    }

    #[test]
    fn an_interim_answer_is_a_sign_of_life_but_no_answer() {
        assert_eq!(judge(Awaited::Commit, 60, None, 61), Ok(95));
        assert_eq!(judge(Awaited::Commit, 899, None, 900), Err(Exhausted::Unfinished(seconds(900))));
    }

    #[test]
    fn a_commit_at_a_dead_backend_ends_soon_after_the_timeout() {
        assert_eq!(judge(Awaited::Commit, 0, None, 34), Ok(35));
        assert_eq!(judge(Awaited::Commit, 0, None, 35), Err(Exhausted::Lifeless(seconds(35))));
        assert_eq!(judge(Awaited::Commit, 0, Some(100), 135), Err(Exhausted::Lifeless(seconds(35))));
    }
}
