//! A limit on how often a line of the log is written that clients can cause at will: with each line stands how often the event
//! has happened since the line before.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often such a line is written at most.
const PERIOD: Duration = Duration::from_secs(10);

/// Decides when one kind of line is written. Bounded: it keeps a number and a time.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the last line was written.
    written: Option<Instant>,
    /// How often the event has happened since.
    count: u64,
}

impl LogThrottle {
    /// Nothing was counted yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State { written: None, count: 0 }))
    }

    /// Counts one event. If a line is to be written about it: how many events the line stands for, this one included.
    pub fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        if state.written.is_some_and(|written| now.saturating_duration_since(written) < PERIOD) {
            return None;
        }
        state.written = Some(now);
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_happen_often_are_written_seldom_and_counted() {
        let (throttle, now) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.count_at(now), Some(1));
        for _ in 0..1_000 {
            assert_eq!(throttle.count_at(now + PERIOD / 2), None);
        }
        assert_eq!(throttle.count_at(now + PERIOD), Some(1_001));
    }
}
