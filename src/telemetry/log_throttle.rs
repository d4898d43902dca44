//! A limit on how often a line of the log is written that clients can cause at will: with each line stands how often the event
//! has happened since the line before.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often such a line is written at most.
const PERIOD: Duration = Duration::from_secs(10);

/// Decides when one kind of line is written. Bounded: it keeps a number and a time.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// It happened: how often it has happened since it was said last, this time included, if it is to be said now.
    pub fn happened(&self) -> Option<u64> {
        self.happened_at(Instant::now())
    }

    fn happened_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid += 1;
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < PERIOD) {
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_said_seldom_and_counted() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.happened_at(now), Some(1));
        for _ in 0..1_000 {
            assert_eq!(seldom.happened_at(now + PERIOD / 2), None);
        }
        assert_eq!(seldom.happened_at(now + PERIOD), Some(1_001));
    }
}
