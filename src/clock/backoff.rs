//! The pauses between attempts at something that fails: exponential backoff with jitter, one rule for every floor.

use std::time::Duration;

/// The longest pause that a server's `Retry-After` may impose.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);

/// How long to pause after a number of failures in a row: `min`, then twice as long each time, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub min: Duration,
    /// The longest pause, but for what [`Backoff::at_least`] adds.
    pub max: Duration,
    /// Which share of a pause chance may take away, from 0 to 1, so that those who failed together try again apart.
    pub jitter: f64,
}

impl Backoff {
    /// Pauses without jitter.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, jitter: 0.0 }
    }

    /// The same, of each of which chance may take away this share.
    #[must_use]
    pub const fn with_jitter(self, jitter: f64) -> Self {
        Self { jitter, ..self }
    }

    /// The same with another longest pause.
    #[must_use]
    pub const fn up_to(self, max: Duration) -> Self {
        Self { max, ..self }
    }

    /// The whole pause after so many failures in a row; none where nothing failed.
    pub fn pause(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self.min.saturating_mul(2_u32.saturating_pow(doublings)).min(self.max),
        }
    }

    /// The pause after so many failures in a row, less what chance takes away.
    pub fn jittered(&self, failures: u32, random: &mut fastrand::Rng) -> Duration {
        self.pause(failures).mul_f64(1.0 - self.jitter * (1.0 - random.f64()))
    }

    /// [`Backoff::jittered`], or as long as the server asked for (`Retry-After`) if that is longer, up to
    /// [`LONGEST_RETRY_AFTER`].
    pub fn at_least(
        &self,
        retry_after: Option<Duration>,
        failures: u32,
        random: &mut fastrand::Rng,
    ) -> Duration {
        let asked_for = retry_after.map_or(Duration::ZERO, |time| time.min(LONGEST_RETRY_AFTER));
        self.jittered(failures, random).max(asked_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BACKOFF: Backoff = Backoff::new(SECOND, Duration::from_mins(1));

    #[test]
    fn pauses_double_up_to_the_longest_and_there_is_none_without_a_failure() {
        let seconds = |failures| BACKOFF.pause(failures).as_secs();
        assert_eq!([0, 1, 2, 3, 6, 7, 33, u32::MAX].map(seconds), [0, 1, 2, 4, 32, 60, 60, 60]);
    }

    #[test]
    fn jitter_takes_away_at_most_its_share_and_not_always_the_same() {
        let mut random = fastrand::Rng::with_seed(1);
        let halved = BACKOFF.with_jitter(0.5);
        let pauses: Vec<_> = (0..1_000).map(|_| halved.jittered(2, &mut random)).collect();
        assert!(pauses.iter().all(|pause| (SECOND..=SECOND * 2).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < SECOND.mul_f64(1.2)));
        assert!(pauses.iter().any(|pause| *pause > SECOND.mul_f64(1.8)));
    }

    #[test]
    fn what_the_server_asks_for_counts_if_it_is_longer_and_only_so_far() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut pause = |asked_for: Option<u64>| {
            BACKOFF.at_least(asked_for.map(Duration::from_secs), 3, &mut random).as_secs()
        };
        assert_eq!([None, Some(1), Some(42), Some(1_000_000)].map(&mut pause), [4, 4, 42, 600]);
    }
}
